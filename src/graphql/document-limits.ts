// How much a request may ask for, besides its bytes, which the body's limit counts, and its cost, which the builder knows.
import { type DocumentNode, GraphQLError, Kind, type ParseOptions, parse, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { errorExtensions } from '../http/error-response.ts'

/** The longest text that X takes goes into variables, so that no honest document is longer. */
const MAX_CHARACTERS = 8_000
/** The introspection query of GraphiQL has about 250. */
const MAX_TOKENS = 1_000
/** An alias asks for the same again: ten posts in one document cost as much as a document may. */
const MAX_ALIASES = 15
const MAX_DIRECTIVES = 5
/** As many as a page may have, and more than any list in an input. */
const MAX_LIST_VALUES = 100
/** An input of ours has two levels. */
const MAX_VARIABLES_DEPTH = 10

/** Refuses what is too long or too deep before it is parsed, and what repeats itself before it is validated. */
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

// In all operations and fragments together. A fragment that is spread often asks for the same often, and its cost says so.
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

// Level by level, and not by calling itself: the deepest that fits into a body would exhaust the stack.
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

// An id of X's has more digits than a number in JSON keeps: it was rounded before anybody could
// look, and is the id of something else. No other number of an input is as large. In the document
// itself a number is read digit by digit.
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
