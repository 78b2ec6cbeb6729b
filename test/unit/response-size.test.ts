// The bytes of a response are counted while it is executed, and the execution ends when there are
// too many.
import fc from 'fast-check'
import { buildSchema, type ExecutionResult, type GraphQLFieldResolver, isObjectType, parse } from 'graphql'
import { expect, test } from 'vitest'
import { createPreparedDocuments, findOperation, MAX_PREPARED_BYTES } from '../../src/graphql/prepared-documents.ts'
import { measureText, measureValue } from '../../src/graphql/response-size.ts'

const QUERY = '{ items { id text count note parts { text } } }'
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

test('the measure of a value is the size of its JSON in UTF-8, with every escape', () => {
  const texts = [
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary-ascii' }),
    fc.constantFrom('"', '\\', '\u0000', '\u007f', '\u2028', '\ud800', 'é', '家', '👩‍👩‍👧'),
  ]
  fc.assert(
    fc.property(fc.oneof(...texts), (text) => void expect(measureText(text)).toBe(bytesOf(text))),
    { numRuns: 5_000 },
  )
  for (const value of [0, -1.5, 1e21, true, false, null, ['é'], { a: '"' }])
    expect(measureValue(value)).toBe(bytesOf(value))
})

type Item = { id: string; text: string; count: number | null; note: string | null; parts: { text: string }[] }

// Executes QUERY over these items, and counts the calls of resolvers.
async function execute(items: unknown, maxBytes: number, wrap: (value: unknown) => unknown = (value) => value) {
  const schema = buildSchema(`
    type Query { items: [Item!] other: String }
    type Item { id: ID! text: String! count: Int note: String parts: [Part!]! }
    type Part { text: String! }
    type Mutation { change: [Item!] again: String }
  `)
  let calls = 0
  const resolve: GraphQLFieldResolver<unknown, unknown> = (source, _args, _context, { fieldName }) => {
    calls += 1
    return wrap((source as Record<string, unknown>)[fieldName])
  }
  for (const type of Object.values(schema.getTypeMap()))
    if (isObjectType(type) && !type.name.startsWith('__'))
      for (const field of Object.values(type.getFields())) field.resolve = resolve
  for (const root of [schema.getQueryType(), schema.getMutationType()])
    for (const field of Object.values(root?.getFields() ?? {}))
      field.resolve = () => {
        calls += 1
        return wrap(items)
      }
  const documents = createPreparedDocuments(schema, MAX_PREPARED_BYTES, maxBytes)
  return async (text: string): Promise<{ result: ExecutionResult; calls: number }> => {
    calls = 0
    const plan = findOperation(documents.add(text, parse(text)), null)?.plan
    if (plan == null) throw new Error('Bug: the document has one operation')
    return { result: await plan.execute({}, {}), calls }
  }
}

const later = (value: unknown) => new Promise((resolve) => setImmediate(() => resolve(value)))

test('G-19 a response that fits is as without a bound, and one that is a byte too large is refused', async () => {
  const items = fc.array(
    fc.record({
      id: fc.uuid(),
      text: fc.string({ unit: 'binary' }),
      count: fc.option(fc.integer()),
      note: fc.option(fc.string({ unit: 'grapheme' })),
      parts: fc.array(fc.record({ text: fc.string() }), { maxLength: 5 }),
    } satisfies { [Key in keyof Item]: unknown }),
    { minLength: 20, maxLength: 60 },
  )
  const property = fc.asyncProperty(items, fc.boolean(), async (list, isLater) => {
    const ask = async (maxBytes: number) => (await execute(list, maxBytes, isLater ? later : undefined))(QUERY)
    const { result } = await ask(Number.POSITIVE_INFINITY)
    const size = bytesOf(result)
    // A comma is counted behind the last entry of a list or an object as well.
    const brackets = JSON.stringify(result).match(/[[{]/g)?.length ?? 0
    expect((await ask(size + brackets + 50)).result).toMatchObject({ data: result.data })
    expect((await ask(size - 1)).result).toMatchObject({
      data: null,
      errors: [{ originalError: { code: 'RESPONSE_TOO_LARGE' } }],
    })
  })
  await fc.assert(property, { numRuns: 100 })
})

test.each([
  ['at once', undefined],
  ['later', later],
])(
  'an execution whose resolvers return %s ends where the response gets too large, and names the place',
  async (_when, wrap) => {
    const item = (_: unknown, index: number): Item => ({
      id: String(index),
      text: 'x'.repeat(1_000),
      count: 1,
      note: null,
      parts: Array.from({ length: 50 }, () => ({ text: 'y'.repeat(100) })),
    })
    const items = Array.from({ length: 1_000 }, item)
    const { result, calls } = await (await execute(items, 100_000, wrap))(QUERY)
    const [error, ...others] = result.errors ?? []
    expect(result.data).toBeNull()
    expect(others).toEqual([])
    expect(error?.message).toBe(
      'The response has more than 100,000 bytes. Ask for fewer fields, or for a smaller page.',
    )
    expect(error?.path?.[0]).toBe('items')
    expect(error?.locations).toHaveLength(1)
    // All of it has 56,001 calls. Those that wait for their values have been called at once, but
    // nothing below them.
    expect(calls).toBeLessThan(wrap === undefined ? 1_000 : 10_000)
  },
)

test('G-19 the errors of a response count', async () => {
  const items = Array.from({ length: 1_000 }, () => ({ text: '', parts: [] }))
  const withErrors = await execute(items, 100_000)
  // Its id is missing: an error for each, which makes the list null at the first.
  expect((await withErrors(QUERY)).result.errors).toHaveLength(1)
  const failing = items.map(() => ({ id: 'a', text: '', count: 'no number', note: null, parts: [] }))
  const { result } = await (await execute(failing, 100_000))(QUERY)
  expect(result).toMatchObject({ data: null, errors: [{ originalError: { code: 'RESPONSE_TOO_LARGE' } }] })
  expect(result.errors).toHaveLength(1)
  expect((await (await execute(failing, 10_000_000))(QUERY)).result.errors).toHaveLength(1_000)
})

test('G-19 the mutations behind one whose response is too large are not carried out', async () => {
  const items = Array.from({ length: 100 }, () => ({ text: 'x'.repeat(2_000) }))
  const { result, calls } = await (await execute(items, 100_000))('mutation { change { text } again }')
  expect(result.errors?.map(({ message }) => message)).toEqual([
    'The response has more than 100,000 bytes. The mutation may have taken effect: read its result with smaller queries.',
  ])
  expect(calls).toBeLessThan(60)
})
