import { builder } from '../builder.ts'

/** The interface of every object that has an id of its own. */
export const NodeRef = builder.interfaceRef<{ id: string; __typename?: string }>('Node').implement({
  description:
    'An object with an id. `node` and `nodes` load it again by that id, which is also its id in events, in webhook messages and in the log.',
  // Set by `loadNodes`, the only source of objects whose type is not known from the field.
  resolveType: ({ __typename }) => __typename,
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the object: opaque, unique over all types, and never changed.' }),
  }),
})
