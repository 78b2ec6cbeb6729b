// `node` and `nodes`: any object by its id. An id that is unknown, that of another user's object,
// and that of an object whose type the caller may not see have the same response, null.
import { listAccountsByIds } from '../../accounts/accounts.ts'
import { listConnectAttemptsByIds } from '../../accounts/connect.ts'
import { listApiTokensByIds } from '../../auth/api-token.ts'
import { listSessionsByIds } from '../../auth/session-list.ts'
import { findOwnedTypes, type OwnedType } from '../../db/object-types.ts'
import { isRowId } from '../../db/row-id.ts'
import { AppError } from '../../errors.ts'
import { listEventsByIds } from '../../events/read.ts'
import { listTweetsByIds } from '../../tweets/tweets.ts'
import { listLinkedAccountsByIds, listLinkedUsersByIds } from '../../users/link-visibility.ts'
import { listWebhookDeliveriesByIds } from '../../webhooks/deliveries.ts'
import { listWebhookEndpointsByIds } from '../../webhooks/endpoints.ts'
import { type AccessRule, meets } from '../access.ts'
import { builder } from '../builder.ts'
import { type GraphqlContext, getSession, getUser } from '../context.ts'
import { mayReadEvents, operatorReader } from '../event-access.ts'
import { NodeRef } from './node-interface.ts'

type Row = { id: string }

/**
 * The access rule of a type, and the loader of its objects: those of the caller, or those visible
 * to an operator's token.
 */
type NodeType = {
  accessRule: AccessRule
  load(context: GraphqlContext, ids: readonly string[]): Promise<readonly Row[]> | readonly Row[]
}

const ownedTypes: Record<OwnedType, NodeType> = {
  User: {
    accessRule: { identified: true },
    load: (context) => [{ ...getUser(context) }],
  },
  ConnectedAccount: {
    accessRule: { scope: 'accounts:read' },
    load: (context, ids) => listAccountsByIds(context.deps, getUser(context).id, ids),
  },
  ConnectAttempt: {
    accessRule: { scope: 'accounts:read' },
    load: (context, ids) => listConnectAttemptsByIds(context.deps, getUser(context).id, ids),
  },
  Tweet: {
    accessRule: { scope: 'tweets:read' },
    load: (context, ids) => listTweetsByIds(context.deps, getUser(context).id, ids),
  },
  Event: {
    accessRule: { scope: 'events:read' },
    load: async (context, ids) => {
      const found = await listEventsByIds(context.deps, { kind: 'USER', userId: getUser(context).id }, ids)
      return found.filter(({ type }) => mayReadEvents(context.viewer, type))
    },
  },
  ApiToken: {
    accessRule: { session: true },
    load: (context, ids) => listApiTokensByIds(context.deps, { userId: getUser(context).id }, ids),
  },
  Session: {
    accessRule: { session: true },
    load: (context, ids) => listSessionsByIds(context.deps, getSession(context).session, ids),
  },
  WebhookEndpoint: {
    accessRule: { scope: 'events:read' },
    load: (context, ids) => listWebhookEndpointsByIds(context.deps, getUser(context).id, ids),
  },
  WebhookDelivery: {
    accessRule: { scope: 'events:read' },
    load: async (context, ids) => {
      const found = await listWebhookDeliveriesByIds(context.deps, getUser(context).id, ids)
      return found.filter(({ eventType }) => mayReadEvents(context.viewer, eventType))
    },
  },
}

// The types of which an operator's token may see objects of any user.
const sharedTypes: Record<string, NodeType> = {
  LinkedUser: {
    accessRule: { operator: 'accounts:read' },
    load: ({ deps }, ids) => listLinkedUsersByIds(deps, ids),
  },
  LinkedAccount: {
    accessRule: { operator: 'accounts:read' },
    load: ({ deps }, ids) => listLinkedAccountsByIds(deps, ids),
  },
  Event: {
    accessRule: { operator: 'events:read' },
    load: ({ deps, viewer }, ids) => listEventsByIds(deps, operatorReader(viewer), ids),
  },
}

builder.queryFields((t) => ({
  node: t.field({
    type: NodeRef,
    nullable: true,
    authScopes: { identified: true },
    description:
      'The object with this id. Null when there is none, when it belongs to another user, and when the API token lacks the scope of its type; the response does not distinguish these cases.',
    args: { id: t.arg.id({ required: true, description: 'The id of an object of any type.' }) },
    resolve: async (_, { id }, context) => (await loadNodes(context, [id]))[0] ?? null,
  }),
  nodes: t.field({
    type: [NodeRef],
    nullable: { list: false, items: true },
    authScopes: { identified: true },
    description: 'The objects with these ids, in the order of `ids`, each as `node` returns it.',
    args: {
      ids: t.arg.idList({
        required: true,
        description: "Up to 100 ids of objects of any types; the viewer's User.id among them at most once.",
      }),
    },
    complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    resolve: (_, { ids }, context) => {
      assertUserOnce(context, ids)
      return loadNodes(context, ids)
    },
  }),
}))

// Each list of a User is read by statements of its own. A hundred copies of the id would read it a
// hundred times in one document; the fields of all other types are loaded in batches.
function assertUserOnce({ viewer }: GraphqlContext, ids: readonly string[]): void {
  if (viewer === null || viewer.kind === 'OPERATOR_TOKEN') return
  const named = ids.filter((id) => id.toLowerCase() === viewer.user.id)
  if (named.length > 1)
    throw new AppError('BAD_USER_INPUT', {
      field: ['ids'],
      detail: '"ids" has the id of the viewer\'s User more than once. Name it once.',
    })
}

async function loadNodes(context: GraphqlContext, given: readonly string[]): Promise<(Row | null)[]> {
  const ids = given.map((id) => id.toLowerCase())
  const isOperator = context.viewer?.kind === 'OPERATOR_TOKEN'
  const nodeTypes: Readonly<Record<string, NodeType>> = isOperator ? sharedTypes : ownedTypes
  const known = [...new Set(ids.filter(isRowId))]
  if (known.length === 0) return ids.map(() => null)
  const idsByType = isOperator ? listSharedIds(known) : await findOwnedIds(context, known)
  const loaded = await Promise.all(
    idsByType.map(async ([type, idsOfType]) => {
      const nodeType = nodeTypes[type]
      if (nodeType === undefined || !meets(context.viewer, nodeType.accessRule)) return []
      return (await nodeType.load(context, idsOfType)).map((object) => ({ ...object, __typename: type }))
    }),
  )
  const byId = new Map(loaded.flat().map((object) => [object.id, object]))
  return ids.map((id) => byId.get(id) ?? null)
}

type IdsOfType = [type: string, ids: readonly string[]]

// One statement finds the types of all ids, so that only those types are loaded.
async function findOwnedIds(context: GraphqlContext, ids: readonly string[]): Promise<IdsOfType[]> {
  const typed = await findOwnedTypes(context.deps.db, getUser(context).id, ids)
  return [...Map.groupBy(typed, ({ type }) => type)].map(([type, rows]) => [type, rows.map(({ id }) => id)])
}

// Every type with every id. A look-up of the types first would run one statement for an unknown id
// and two for an id that its user hides, and the time would tell which.
function listSharedIds(ids: readonly string[]): IdsOfType[] {
  return Object.keys(sharedTypes).map((type) => [type, ids])
}
