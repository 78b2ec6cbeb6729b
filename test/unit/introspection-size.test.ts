// The measured size of an introspection, compared with what it returns.
import { executeSync, getIntrospectionQuery, type IntrospectionOptions, Kind, parse, validate } from 'graphql'
import { describe, expect, test } from 'vitest'
import { createCostFunction } from '../../src/graphql/cost.ts'
import { listFragments } from '../../src/graphql/execution-plan.ts'
import { MAX_INTROSPECTION_CHARACTERS, measureIntrospection } from '../../src/graphql/introspection-size.ts'
import { schema } from '../../src/graphql/schema.ts'

function prepare(text: string) {
  const document = parse(text)
  expect(validate(schema, document)).toEqual([])
  const [operation] = document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
  if (operation === undefined) throw new Error('There is no operation')
  return { document, operation, fragments: Object.values(listFragments(document)) }
}

function measure(text: string): number {
  const { operation, fragments } = prepare(text)
  return measureIntrospection(schema, operation, fragments)
}

const returned = (text: string, variableValues = {}) =>
  JSON.stringify(executeSync({ schema, document: parse(text), variableValues }).data).length

function costOf(text: string) {
  const { operation, fragments } = prepare(text)
  return createCostFunction(schema, operation, fragments)({})
}

// GraphiQL, GraphQL Code Generator and Apollo's tools send graphql's own query with some of these.
const options: IntrospectionOptions[] = [
  {},
  { descriptions: false },
  { schemaDescription: true, specifiedByUrl: true },
  {
    descriptions: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  },
]

describe('what tools ask for', () => {
  test.each(options)('with %j is within less than half of the limit, and is measured within a tenth', (option) => {
    const query = getIntrospectionQuery(option)
    const [measured, real] = [measure(query), returned(query)]
    expect(measured).toBeLessThan(MAX_INTROSPECTION_CHARACTERS / 2)
    expect(measured / real).toBeGreaterThanOrEqual(0.98)
    expect(measured / real).toBeLessThan(1.1)
    expect(costOf(query)).toMatchObject({ isIntrospectionTooLarge: false, isWithinLimits: true })
    expect(costOf(query).cost).toBeLessThan(10)
  })
})

describe('G-17 a document that multiplies what it returns', () => {
  const names = Array.from({ length: 15 }, (_, index) => String.fromCharCode(97 + index))
  test.each([
    [
      'by nested lists',
      '{ __schema { types { fields { type { fields { name description args { name description } } } } } } }',
    ],
    [
      'by aliases',
      `{ ${names.map((name) => `${name}: __schema { types { fields { name description } } }`).join(' ')} }`,
    ],
    [
      'by aliases of a text',
      `{ __schema { types { fields { ${names.map((name) => `${name}: description`).join(' ')} } } } }`,
    ],
    [
      'by fragments',
      `{ __schema { types { ...a } } } fragment a on __Type { fields { type { ...b } args { type { ...b } } } }
        fragment b on __Type { fields { type { ...c } } possibleTypes { ...c } } fragment c on __Type { name description kind ofType { name description } }`,
    ],
    [
      'by a type of a variable',
      'query ($name: String!) { __type(name: $name) { fields { name description type { fields { name description } } } } }',
    ],
  ])('%s is measured at least as large as it is', (_how, text) => {
    const real = returned(text, { name: 'Query' })
    const measured = measure(text)
    expect(measured).toBeGreaterThanOrEqual(real * 0.98)
    if (real > MAX_INTROSPECTION_CHARACTERS) {
      expect(measured).toBe(Number.POSITIVE_INFINITY)
      expect(costOf(text)).toMatchObject({ cost: expect.any(Number), isIntrospectionTooLarge: true })
      expect(costOf(text).cost).toBeGreaterThan(15)
    }
  })

  test('with fragments that double eighty times is measured in a number of steps that follows from its text', () => {
    const chain = Array.from(
      { length: 80 },
      (_, index) => `fragment f${index} on __Type { ...f${index + 1} ofType { ...f${index + 1} } }`,
    )
    const text = `{ __schema { types { ...f0 } } } ${chain.join(' ')} fragment f80 on __Type { name }`
    expect(measure(text)).toBeGreaterThan(0)
  })
})

test('an operation without introspection has no size, and __typename is none', () => {
  expect(measure('{ viewer { login } __typename }')).toBe(0)
  expect(measure('mutation { signOut { signedOut } }')).toBe(0)
})
