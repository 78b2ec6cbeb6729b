import { createServer } from 'node:http'
import fc from 'fast-check'
import { installOutbound } from '../../../src/outbound/provider-calls.ts'
import { closeServer, listenLocally } from '../../support/local-server.ts'
import { type Choices, readChoices } from './choices.ts'
import { hostileTexts } from './hostile-texts.ts'

/** A provider's response to any request. */
export type ProviderResponse = { status: number; headers: Record<string, string>; body: string }

/** Replaces each token in a response; no output may contain it. */
export const RESPONSE_TOKEN = 'ANSWERED-token-OF-a-provider-0123456789abcdefghij'

const STATUSES = [
  ...[200, 200, 200, 200, 200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 408],
  ...[409, 418, 422, 425, 429, 451, 500, 501, 502, 503, 504, 520, 599],
]
const ERRORS = [
  'invalid_grant',
  'invalid_request',
  'invalid_client',
  'unauthorized_client',
  'bad_verification_code',
  '',
]
const DESCRIPTIONS = ['Value passed for the token was invalid.', `No ${RESPONSE_TOKEN} here`, 'Forbidden', '']
const TYPES = [
  'about:blank',
  'https://api.x.com/2/problems/client-forbidden',
  'https://api.x.com/2/problems/usage-capped',
  'https://api.x.com/2/problems/credits',
  'https://developers.cloudflare.com/error-1020/',
]
const HEADER_NAMES = [
  ...[
    'retry-after',
    'x-rate-limit-reset',
    'x-rate-limit-remaining',
    'x-app-limit-24hour-remaining',
    'x-user-limit-24hour-reset',
  ],
  ...['x-app-limit-24hour-reset', 'date', 'content-encoding', 'location', 'set-cookie'],
]
const HEADER_VALUES = [
  '0',
  '30',
  '-1',
  '1e9',
  '99999999999999',
  'soon',
  '',
  'gzip',
  'http://169.254.169.254/',
  'a=b; Path=/',
]

/** Two responses: to the first request of a flow, and to all that follow. */
export const responsePairs: fc.Arbitrary<[ProviderResponse, ProviderResponse]> = fc
  .uint8Array({ minLength: 8, maxLength: 80, size: 'max' })
  .map((bytes) => {
    const choices = readChoices(bytes)
    // Mostly a valid first one, so that the second request is sent.
    const first = choices.oneIn(3) ? writeResponse(choices, writeTokens(choices)) : respondWith(200, tokens)
    return [first, writeResponse(choices, choices.oneIn(3) ? writeProblem(choices) : writePerson(choices))]
  })

/** A response to a call about tweets. */
export const tweetResponses: fc.Arbitrary<ProviderResponse> = fc
  .uint8Array({ minLength: 8, maxLength: 80, size: 'max' })
  .map(readChoices)
  .map((choices) => writeResponse(choices, choices.oneIn(3) ? writeProblem(choices) : writeTweets(choices)))

/** Starts a GitHub and X that sends the given responses. */
export async function startFakeProviders() {
  let responses: readonly ProviderResponse[] = [{ status: 503, headers: {}, body: '' }]
  let asked = 0
  const server = createServer((request, response) => {
    request.resume()
    const generated = responses[Math.min(asked, responses.length - 1)]
    asked += 1
    response.writeHead(generated?.status ?? 500, generated?.headers).end(generated?.body)
  })
  const port = await listenLocally(server)
  const outbound = installOutbound(10)
  return {
    url: `http://127.0.0.1:${port}`,
    /** Sets the responses: the first for the first request, and so on; the last is repeated. */
    respondWith(next: readonly ProviderResponse[]): void {
      responses = next
      asked = 0
    },
    /** Returns the number of requests since then. */
    asked: () => asked,
    async close(): Promise<void> {
      await outbound.close()
      await closeServer(server)
    },
  }
}

const tokens = {
  token_type: 'bearer',
  expires_in: 7200,
  access_token: RESPONSE_TOKEN,
  refresh_token: RESPONSE_TOKEN,
  scope: 'tweet.read users.read tweet.write offline.access',
}

function respondWith(status: number, body: unknown): ProviderResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

function writeResponse(choices: Choices, body: unknown): ProviderResponse {
  const generated = respondWith(choices.oneIn(2) ? choices.pick(STATUSES) : 200, body)
  if (choices.oneIn(6))
    generated.headers['content-type'] = choices.pick(['text/html', 'application/problem+json', '', 'x'])
  for (let more = choices.below(3); more > 0; more--)
    generated.headers[choices.pick(HEADER_NAMES)] = choices.pick(HEADER_VALUES)
  if (choices.oneIn(8)) generated.body = generated.body.slice(0, choices.below(generated.body.length + 1))
  if (choices.oneIn(12)) generated.body = choices.pick(['', 'null', '[]', '"x"', '<html>', '\0', '7', '[[]]', '{"a":'])
  if (choices.oneIn(40)) generated.body = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  if (choices.oneIn(40)) generated.body = JSON.stringify({ filling: 'x'.repeat(70_000) })
  return generated
}

function writeTokens(choices: Choices): unknown {
  if (choices.oneIn(3)) return writeProblem(choices)
  return spoil(choices, tokens)
}

// GitHub's response about a user and X's about an account, in one: each parser takes its own
// fields.
function writePerson(choices: Choices): unknown {
  const number = 1_000 + choices.below(50)
  const data = { id: String(number), username: `account_${number}`, name: 'An Account', profile_image_url: null }
  const user = { id: number, login: `person-${number}`, name: 'A Person', avatar_url: 'https://a.example.com/1' }
  return spoil(choices, { ...user, data: spoil(choices, data) })
}

// X's response about a tweet that it posted, deleted or shows.
function writeTweets(choices: Choices): unknown {
  const id = choices.pick(['1993000000000000001', '1993000000000000001', RESPONSE_TOKEN, '-1', ''])
  const tweet = spoil(choices, { id, text: 'A tweet', created_at: '2026-11-24T00:00:00.000Z', deleted: true })
  return spoil(choices, { data: choices.oneIn(2) ? tweet : [tweet, tweet], meta: {}, errors: [{ title: 'Not Found' }] })
}

function writeProblem(choices: Choices): unknown {
  return spoil(choices, {
    error: choices.pick(ERRORS),
    error_description: choices.pick(DESCRIPTIONS),
    title: choices.pick(['Forbidden', RESPONSE_TOKEN, 'Too Many Requests', 'SpendCapReached']),
    reset_date: choices.pick(['2026-12-12', '1970-01-01', '99999-01-01', 'soon']),
    errors: choices.pick([[], null, [{ code: 187, message: RESPONSE_TOKEN }], [{ code: '226' }], RESPONSE_TOKEN]),
    detail: choices.pick([...DESCRIPTIONS, 'Your account is temporarily locked.', 'This user has been suspended.']),
    type: choices.pick(TYPES),
  })
}

// One or two of its parts have another value or are missing.
function spoil(choices: Choices, whole: Record<string, unknown>): Record<string, unknown> {
  const spoilt = { ...whole }
  for (let times = choices.below(3); times > 0; times--) {
    const name = choices.pick(Object.keys(whole))
    if (choices.oneIn(3)) delete spoilt[name]
    else spoilt[name] = choices.pick([null, 0, -1, 1e99, true, '', [], {}, [RESPONSE_TOKEN], ...hostileTexts])
  }
  return spoilt
}
