// Checks what no response may contain, for any request.
import { errorCodes } from '../../../src/error-codes.ts'
import type { FuzzGateway } from './gateway.ts'

// Fragments of code, the database and its drivers. None of the sent texts contains any of them.
const INTERNALS =
  /node_modules|\.[cm]?[jt]s:\d|\n\s+at \w|failed query|drizzle|pglite|postgres|42P01|select .{1,80} from /i

type GraphqlResponse = { data?: unknown; errors?: { message?: unknown; extensions?: { code?: unknown } }[] }

/** Throws if a response leaks something, or the gateway failed. */
export function judgeResponse(gateway: FuzzGateway, response: Response, text: string): void {
  const refuse = (reason: string) => {
    throw new Error(`${reason}: ${response.status} ${text.slice(0, 600)}`)
  }
  if (response.status >= 500) refuse('The gateway failed')
  if (INTERNALS.test(text)) refuse('The response contains internals')
  // The one field that returns a secret.
  const headers = [...response.headers].filter(([name]) => name !== 'set-cookie')
  const everything = `\n${headers.join('\n')}\n${text}`
  for (const secret of gateway.secrets) if (everything.includes(secret)) refuse('The response contains a secret')
  if (everything.toLowerCase().includes('\nx-evil')) refuse('The response has a header that was sent as a value')
  const errors = gateway.takeErrors()
  if (errors.length > 0) refuse(`The gateway failed, as the log says: ${errors.join('').slice(0, 2_000)}`)
}

/** Parses a GraphQL response, one part for each event of a stream. Throws if it is invalid. */
export function parseGraphqlResponse(response: Response, text: string): GraphqlResponse[] {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  const parts = isStream
    ? // Not by `.` and `$`: U+2028 ends a line for them, and none of a stream.
      [...text.matchAll(/(?:^|[\r\n])data: ?([^\r\n]+)/g)].map(([, data = '']) => JSON.parse(data))
    : [JSON.parse(text)]
  for (const part of parts as GraphqlResponse[]) {
    const hasResult = part.data !== undefined || (part.errors !== undefined && part.errors.length > 0)
    if (!hasResult) throw new Error(`Neither data nor errors: ${response.status} ${text.slice(0, 600)}`)
    for (const { message, extensions } of part.errors ?? []) {
      const isCoded = typeof extensions?.code === 'string' && extensions.code in errorCodes
      if (typeof message !== 'string' || message.length < 10 || !isCoded || extensions?.code === 'INTERNAL')
        throw new Error(`An error without a published code or a sentence: ${response.status} ${text.slice(0, 600)}`)
    }
  }
  return parts
}
