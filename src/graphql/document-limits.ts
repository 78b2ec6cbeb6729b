// The limits of a document and its variables, beside the limits of the body's bytes (server.ts) and
// of the complexity (builder.ts).
import { type DocumentNode, GraphQLError, Kind, type ParseOptions, parse, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { errorExtensions } from '../http/error-response.ts'

/** Texts of tweets belong into variables, so that no reasonable document is longer. */
const MAX_CHARACTERS = 8_000
/** GraphiQL's introspection query has about 250. */
const MAX_TOKENS = 1_000
/** Aliases repeat a field: ten posts in one document reach the highest complexity. */
const MAX_ALIASES = 15
const MAX_DIRECTIVES = 5
/** The maximum of a page, and more than any list in an input needs. */
const MAX_LIST_VALUES = 100
/** The inputs of the schema have two levels. */
const MAX_VARIABLES_DEPTH = 10

/**
 * Refuses too long documents and too deep variables before parsing, and too much repetition before
 * validation.
 */
export const limitDocuments: Plugin = {
  onParams: ({ params: { query, variables } }) => {
    const characters = typeof query === 'string' ? query.length : 0
    if (characters > MAX_CHARACTERS) throw tooMuch('characters', characters, MAX_CHARACTERS, 'Send texts as variables')
    limitVariables(variables)
  },
  onParse: ({ setParseFn }) => {
    setParseFn((source: string, options?: ParseOptions) => parseWithin(source, options))
  },
}

// Counted by the parser, so that a document of brackets alone cannot exhaust the stack.
function parseWithin(source: string, options?: ParseOptions): DocumentNode {
  try {
    const document = parse(source, { ...options, maxTokens: MAX_TOKENS })
    limitRepetition(document)
    return document
  } catch (error) {
    const isTooLong = error instanceof GraphQLError && error.message.includes(`${MAX_TOKENS} tokens`)
    throw isTooLong ? refusal(`The document has more than ${MAX_TOKENS} tokens. Send less in one document.`) : error
  }
}

// Counts over all operations and fragments. Repeated spreads of a fragment count towards the
// complexity.
function limitRepetition(document: DocumentNode): void {
  let [aliases, directives] = [0, 0]
  visit(document, {
    Field: ({ alias }) => {
      if (alias !== undefined) aliases += 1
    },
    Directive: () => {
      directives += 1
    },
    [Kind.LIST]: ({ values }) => limitList(values.length),
  })
  if (aliases > MAX_ALIASES) throw tooMuch('aliases', aliases, MAX_ALIASES, 'Send several documents')
  if (directives > MAX_DIRECTIVES) throw tooMuch('directives', directives, MAX_DIRECTIVES, 'Send several documents')
}

// Iterates level by level: recursion into the deepest JSON that fits into a body would exhaust the
// stack.
function limitVariables(variables: unknown): void {
  const holdsMore = (value: unknown): value is object => typeof value === 'object' && value !== null
  let level = [variables].filter(holdsMore)
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_VARIABLES_DEPTH)
      throw refusal(
        `The variables are nested deeper than ${MAX_VARIABLES_DEPTH}. Send no more than the inputs describe.`,
      )
    for (const value of level) {
      if (Array.isArray(value)) limitList(value.length)
      refuseRoundedNumbers(value)
    }
    level = level.flatMap((value): unknown[] => Object.values(value)).filter(holdsMore)
  }
}

// X's ids have more digits than a JavaScript number: a parsed one is rounded, and is the id of
// another object. No other number of an input is as large. Numbers in the document itself are
// parsed exactly.
function refuseRoundedNumbers(value: object): void {
  const rounded = Object.entries(value).find(
    ([, inner]) => typeof inner === 'number' && Math.abs(inner) > Number.MAX_SAFE_INTEGER,
  )
  if (rounded === undefined) return
  const name = JSON.stringify(rounded[0].slice(0, 100))
  throw refusal(`${name} is a number beyond 2^53, of which JSON keeps no more than 17 digits. Send it as a string.`)
}

function limitList(values: number): void {
  if (values > MAX_LIST_VALUES) throw tooMuch('values in a list', values, MAX_LIST_VALUES, 'Send shorter ones')
}

function tooMuch(what: string, count: number, limit: number, advice: string): GraphQLError {
  const [has, most] = [count, limit].map((number) => number.toLocaleString('en'))
  return refusal(`This request has ${has} ${what}, of ${most} that it may have. ${advice}.`)
}

function refusal(message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: errorExtensions('BAD_USER_INPUT', { http: { status: 400 } }),
  })
}
