import { type GraphQLArgument, type GraphQLSchema, getNamedType, isInputObjectType, parse, validate } from 'graphql'
import { parseBlocks, parseSpans } from './markdown.ts'

/**
 * Returns the documents, fields and arguments in code of the API's documents that the schema does
 * not have.
 */
export function findGraphqlProblems(documents: ReadonlyMap<string, string>, schema: GraphQLSchema): string[] {
  return [...documents].flatMap(([document, text]) =>
    [
      ...readOperations(text).flatMap((operation) => findOperationProblems(operation, schema)),
      ...parseSpans(text).flatMap((span) => findCallProblems(span, schema)),
    ].map((problem) => `${document}: ${problem}`),
  )
}

/** Blocks of GraphQL, queries in the JSON that a curl sends, and selections in the text. */
function readOperations(text: string): string[] {
  const blocks = parseBlocks(text)
  const commands = blocks.filter(({ language }) => language === 'sh')
  return [
    ...blocks.filter(({ language }) => language === 'graphql').map(({ text }) => text),
    ...commands.flatMap(({ text }) =>
      [...text.matchAll(/-d '(\{.*?\})'/gs)].map(([, body = '']) => JSON.parse(body).query),
    ),
    ...parseSpans(text).filter((span) => /^(?:subscription |mutation )?\{ \w/.test(span)),
  ]
}

function findOperationProblems(operation: string, schema: GraphQLSchema): string[] {
  try {
    return validate(schema, parse(operation)).map(({ message }) => message)
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

// In text a call is shortened: `revokeSession(input: {sessionId})`, `linkedUser(githubId:)`.
function findCallProblems(span: string, schema: GraphQLSchema): string[] {
  const [, name = '', list = ''] = span.match(/^(\w+)\(([^)]*)\)$/) ?? []
  if (name === '') return []
  const field = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
    .map((type) => type?.getFields()[name])
    .find((found) => found !== undefined)
  if (field === undefined) return [`there is no field ${name}.`]
  const [outer = '', inner = ''] = list.split(/[{}]/)
  const given = readNames(outer)
  const input = getNamedType(field.args.find((argument) => argument.name === 'input')?.type)
  const inputFields = isInputObjectType(input) ? Object.keys(input.getFields()) : []
  return [
    ...given.filter((word) => !hasName(field.args, word)).map((word) => `${name} has no argument ${word}.`),
    ...readNames(inner)
      .filter((word) => !inputFields.includes(word))
      .map((word) => `the input of ${name} has no ${word}.`),
  ]
}

const hasName = (args: readonly GraphQLArgument[], word: string) => args.some(({ name }) => name === word)

function readNames(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.split(':')[0]?.trim() ?? '')
    .filter((name) => /^\w+$/.test(name))
}
