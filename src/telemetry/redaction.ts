// Redaction of secrets in the log, by the name of a value or by its form anywhere in a text. It is
// a second line of defence: secrets are not passed to the logger in the first place.

const HIDDEN = '[secret]'

// An SQLSTATE or an error code of Node and its packages. Authorization codes of the providers
// always have a lower-case letter.
const ERROR_CODE = /^(?:[0-9A-Z]{5}|E[A-Z]{3,}|[A-Z]+(?:_[A-Z]+)+)$/

// Compared in lower case without - and _. Matches the end of a name, so that `previousSecret` and
// `x-api-key` match as well.
const SECRET_NAME =
  /(authorization|cookies?|tokens?|secrets?|passwords?|passphrase|verifier|apikey|privatekey|encryptionkeys?|credentials?|databaseurl)$|^(code|authorizationcode|state|sealed)$/

// The same names inside a text: form data, a header, JSON, a connection string.
// "Reauthorization: its user …" names no value.
const NAMED_VALUE =
  /((?:access_?token|refresh_?token|id_?token|client_?secret|code_?verifier|password|pwd|set-cookie|cookie|(?<!\bre)authorization)\\*["']?\s*[:=]\s*\\*["']?)(?:(?:bearer|basic)\s+)?[^\s"'\\,;&]+/gi
const SHORT_NAMED_VALUE = /\b((?:code|state|token|secret)=)[^\s"'\\,;&]+/gi

const SHAPES = [
  // The gateway's API tokens and webhook secrets.
  /xcg_[0-9A-Za-z]{33}(?:[0-9A-Za-z]{22})?/g,
  /whsec_[0-9A-Za-z+/]{43}=/g,
  // GitHub's tokens.
  /gh[opsru]_[0-9A-Za-z]{36,}|github_pat_\w{22,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END).)*(?:-----END [A-Z ]*PRIVATE KEY-----)?/gs,
  // A JSON Web Token.
  /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // 32 bytes in base64, such as an encryption key.
  /[0-9A-Za-z+/]{43}=/g,
  // X's tokens and codes, session tokens, states, code verifiers and sealed values: long, with
  // letters of both cases, unlike any id.
  /(?<![\w-])(?=[\d_-]*[a-z][\w-]*[A-Z]|[\d_-]*[A-Z][\w-]*[a-z])[\w-]{40,}/g,
]
const CREDENTIALS = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi
const ADDRESS = /\b([a-z][a-z0-9+.-]{1,31}:\/\/)(?:[^\s/?#"'\\@]*@)?([^\s?#"'\\]*)(?:[?#][^\s"'\\]*)?/gi

const MAX_DEPTH = 8
const MAX_ENTRIES = 200
const MAX_STACK_LINES = 8

// Too short for any of the shapes, and without the characters between a name and its value, around
// a URL, or after a scheme; or a UUID. Names, paths and ids are such texts.
const PLAIN = /^(?:[\w/-]{0,32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

const IS_REDACTED = Symbol('redacted')

/**
 * Marks log fields that need no redaction: fields with fixed names, whose texts cannot contain a
 * secret or are redacted already.
 */
export function markRedacted<Fields extends object>(fields: Fields): Fields {
  return { ...fields, [IS_REDACTED]: true }
}

/** Redacts everything in a text that looks like a secret, and removes the query of its URLs. */
export function redactText(text: string): string {
  if (PLAIN.test(text)) return text
  // Shapes first: a private key contains spaces, at which a URL would end.
  return SHAPES.reduce((left, shape) => left.replace(shape, HIDDEN), text)
    .replace(ADDRESS, '$1$2')
    .replace(CREDENTIALS, `$1 ${HIDDEN}`)
    .replace(NAMED_VALUE, `$1${HIDDEN}`)
    .replace(SHORT_NAMED_VALUE, `$1${HIDDEN}`)
}

/**
 * Converts a value into plain data without secrets for the log. Of an error it keeps name, code,
 * message, stack, causes and aggregated errors, but no properties that a driver or HTTP client
 * added, such as query parameters. Of bytes it keeps the number.
 */
export function redact(value: unknown): unknown {
  return isMarked(value) ? value : visit(value, [])
}

function isMarked(value: unknown): boolean {
  return typeof value === 'object' && value !== null && IS_REDACTED in value
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

// A number is not a secret: `tokens: 3` is a count.
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
    // Drizzle's message contains the query and its parameters.
    message: error.message.startsWith('Failed query') ? 'Failed query' : redactText(error.message),
    // Not named `code`, which is redacted because it may be an authorization code.
    errorCode,
    // Without the message, with which the stack begins.
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

// A thrown value that is not an error may be a whole response: only its type is logged, or its
// redacted text.
function describeCause(cause: unknown, parents: readonly object[]): unknown {
  return cause instanceof Error || typeof cause === 'string' ? visit(cause, parents) : { message: typeof cause }
}
