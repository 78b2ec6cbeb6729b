// What the log never holds, whatever somebody hands to it by mistake: a second fence, since secrets are not handed to the logger in
// the first place. Known by the name that a value goes by, or by its shape wherever it stands.

const HIDDEN = '[secret]'

// An SQLSTATE, or what Node and its packages call an error: no code of a provider's is without a small letter.
const ERROR_CODE = /^(?:[0-9A-Z]{5}|E[A-Z]{3,}|[A-Z]+(?:_[A-Z]+)+)$/

// Compared without case, - and _. Ends of names, so that `previousSecret` and `x-api-key` are meant as well.
const SECRET_NAME =
  /(authorization|cookies?|tokens?|secrets?|passwords?|passphrase|verifier|apikey|privatekey|encryptionkeys?|credentials?|databaseurl)$|^(code|authorizationcode|state|sealed)$/

// The same names within a text: a form, a header, JSON, a connection string.
const NAMED_VALUE =
  /((?:access_?token|refresh_?token|id_?token|client_?secret|code_?verifier|password|pwd|set-cookie|cookie|authorization)\\*["']?\s*[:=]\s*\\*["']?)(?:(?:bearer|basic)\s+)?[^\s"'\\,;&]+/gi
const SHORT_NAMED_VALUE = /\b((?:code|state|token|secret)=)[^\s"'\\,;&]+/gi

const SHAPES = [
  // An API token of ours, and a webhook's secret.
  /xcg_[0-9A-Za-z]{33}/g,
  /whsec_[0-9A-Za-z+/]{43}=/g,
  // GitHub's.
  /gh[opsru]_[0-9A-Za-z]{36,}|github_pat_\w{22,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END).)*(?:-----END [A-Z ]*PRIVATE KEY-----)?/gs,
  // A JSON Web Token.
  /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // 32 bytes in base64, as an encryption key is written.
  /[0-9A-Za-z+/]{43}=/g,
  // What X's tokens and codes, our sessions, states, verifiers and sealed values look like: long, in letters of both cases. No id of ours is.
  /(?<![\w-])(?=[\d_-]*[a-z][\w-]*[A-Z]|[\d_-]*[A-Z][\w-]*[a-z])[\w-]{40,}/g,
]
const CREDENTIALS = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi
const ADDRESS = /\b([a-z][a-z0-9+.-]{1,31}:\/\/)(?:[^\s/?#"'\\@]*@)?([^\s?#"'\\]*)(?:[?#][^\s"'\\]*)?/gi

const MAX_DEPTH = 8
const MAX_ENTRIES = 200
const MAX_STACK_LINES = 8

/** A text without what looks like a secret, and with its addresses cut at their query. */
export function redactText(text: string): string {
  // Shapes first: a private key has spaces in it, at which an address would end.
  return SHAPES.reduce((left, shape) => left.replace(shape, HIDDEN), text)
    .replace(ADDRESS, '$1$2')
    .replace(CREDENTIALS, `$1 ${HIDDEN}`)
    .replace(NAMED_VALUE, `$1${HIDDEN}`)
    .replace(SHORT_NAMED_VALUE, `$1${HIDDEN}`)
}

/**
 * What may be logged of a value: plain data without secrets. Of an error its name, code, message, stack, causes and, of several in
 * one, each; never what a driver or an HTTP client has hung on it, such as a query's parameters. Of bytes how many.
 */
export function redact(value: unknown): unknown {
  return visit(value, [])
}

function visit(value: unknown, parents: readonly object[]): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value !== 'object' || value === null) return value
  if (parents.includes(value) || parents.length >= MAX_DEPTH) return '[…]'
  const inner = [...parents, value]
  if (value instanceof Error) return describeError(value, inner)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof URL) return redactText(value.href)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (Array.isArray(value) || value instanceof Set)
    return Array.from(value)
      .slice(0, MAX_ENTRIES)
      .map((entry) => visit(entry, inner))
  return visitEntries(value instanceof Map ? [...value] : readEntries(value), inner)
}

function visitEntries(entries: [unknown, unknown][], parents: readonly object[]): Record<string, unknown> {
  const seen = entries.slice(0, MAX_ENTRIES).map(([key, value]): [string, unknown] => {
    const name = typeof key === 'string' ? key : String(visit(key, parents))
    return [redactText(name), isSecret(name, value) ? HIDDEN : visit(value, parents)]
  })
  return Object.fromEntries(seen)
}

// Numbers tell how many tokens there are, not which.
function isSecret(name: string, value: unknown): boolean {
  if (name === 'code' && typeof value === 'string' && ERROR_CODE.test(value)) return false
  const holds = typeof value === 'string' || (typeof value === 'object' && value !== null)
  return holds && SECRET_NAME.test(name.toLowerCase().replace(/[^a-z]/g, ''))
}

function readEntries(value: object): [string, unknown][] {
  return Object.keys(value).map((key) => {
    try {
      return [key, (value as Record<string, unknown>)[key]]
    } catch {
      return [key, '[unreadable]']
    }
  })
}

function describeError(error: Error, parents: readonly object[]): Record<string, unknown> {
  const errorCode = 'code' in error && typeof error.code === 'string' ? redactText(error.code) : undefined
  return {
    name: redactText(String(error.name)),
    // Drizzle puts the query and its parameters into the message.
    message: error.message.startsWith('Failed query') ? 'Failed query' : redactText(error.message),
    // Not `code`: under that name an authorization code would be blanked.
    errorCode,
    // Without the message, which it begins with.
    stack: error.stack
      ?.replace(error.message, '')
      .split('\n')
      .filter((line) => line.trimStart().startsWith('at '))
      .slice(0, MAX_STACK_LINES)
      .map(redactText),
    cause: error.cause === undefined ? undefined : describeCause(error.cause, parents),
    errors: error instanceof AggregateError ? error.errors.map((each) => describeCause(each, parents)) : undefined,
  }
}

// What is thrown and is no error may be a whole answer: its kind is told, and a text.
function describeCause(cause: unknown, parents: readonly object[]): unknown {
  return cause instanceof Error || typeof cause === 'string' ? visit(cause, parents) : { message: typeof cause }
}
