// The complexity of each mutation, in its description and in the manual of the API.
import { expect, test } from 'vitest'
import { schema } from '../../src/graphql/schema.ts'
import { readDocument } from '../support/documents/markdown.ts'

const mutations = Object.entries(schema.getMutationType()?.getFields() ?? {}).map(([name, field]) => ({
  name,
  description: field.description ?? '',
  complexity: Number(field.extensions.complexity),
}))

/** The rows of the table in the manual: the names of a row, and their complexity. */
const listed = [...readDocument('schema/README.md').matchAll(/^\| (`\w+`(?:, `\w+`)*) \| ([\d,]+) \|$/gm)].flatMap(
  ([, names = '', complexity = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => ({ name, complexity: Number(complexity.replaceAll(',', '')) })),
)

test('G-32 the manual lists the complexity of every mutation', () => {
  const byName = (one: { name?: string }, other: { name?: string }) =>
    String(one.name).localeCompare(String(other.name))
  expect(listed.toSorted(byName)).toEqual(
    mutations.map(({ name, complexity }) => ({ name, complexity })).toSorted(byName),
  )
})

test('so does the description of each', () => {
  for (const { name, description, complexity } of mutations)
    expect(description, name).toContain(`Counts ${complexity.toLocaleString('en')} towards the complexity`)
})
