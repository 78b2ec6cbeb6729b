import pino, { type DestinationStream, type Logger } from 'pino'

/** The process's logger: one JSON object a line. */
export type Log = Logger

/** What the line of a request to the API says of its document: names and codes, no texts. `fields` are those at the top. */
export type DocumentNotes = { operation: string | null; fields: readonly string[]; errorCodes: readonly string[] }

// A second fence: secrets are not handed to the logger in the first place.
const SECRET_KEYS = [
  'authorization',
  'cookie',
  'set-cookie',
  'code',
  'state',
  'code_verifier',
  'codeVerifier',
  'access_token',
  'accessToken',
  'refresh_token',
  'refreshToken',
  'client_secret',
  'clientSecret',
  'token',
  'password',
]

// An API token or a webhook's secret, wherever in a line somebody's mistake has put it: in a path, or in an id of a request.
const SHOWN_SECRET = /xcg_[0-9A-Za-z]{33}|whsec_[0-9A-Za-z+/]{43}=/g

/**
 * Makes the logger. Errors are logged with their code, message, stack and causes; secrets under well-known names are blanked.
 * @param destination where lines go; standard output unless told otherwise.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_KEYS.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`]), censor: '[secret]' },
    serializers: { error: describeError },
    hooks: { streamWrite: (line: string) => line.replace(SHOWN_SECRET, '[secret]') },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}

// Only these fields: an error from a driver or an HTTP client may carry the query's parameters or a request's body.
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : typeof error }
  const errorCode = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return {
    name: error.name,
    // Drizzle puts the query and its parameters into the message.
    message: error.message.startsWith('Failed query') ? 'Failed query' : error.message,
    // Not `code`: under that name an authorization code would be blanked.
    errorCode,
    stack: error.stack
      ?.split('\n')
      .filter((line) => line.trimStart().startsWith('at '))
      .slice(0, 8),
    cause: error.cause === undefined || depth > 4 ? undefined : describeError(error.cause, depth + 1),
  }
}
