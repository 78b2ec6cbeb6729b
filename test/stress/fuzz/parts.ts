// The inputs of `npm run fuzz`, by their target.
import fc from 'fast-check'
import { xBlocks } from '../../../src/db/tables.ts'
import { isErrorCode } from '../../../src/error-codes.ts'
import { createTweet, deleteXTweet } from '../../../src/x/api.ts'
import { fetchTimeline } from '../../../src/x/timeline.ts'
import { graphqlInputs } from './documents.ts'
import type { FuzzGateway } from './gateway.ts'
import { judgeResponse, parseGraphqlResponse } from './judge.ts'
import { RESPONSE_TOKEN, responsePairs, tweetResponses } from './provider-responses.ts'
import { callbackInputs, formInputs, identityInputs, type RequestInput } from './requests.ts'

/** The result of a part. */
export type FuzzReport = {
  inputs: number
  /** The durations of requests that were refused, in milliseconds. */
  refusals: number[]
}

/**
 * Sends `runs` inputs, the same for the same seed.
 * @throws Error with the smallest input found whose response is wrong.
 */
export type FuzzPart = (gateway: FuzzGateway, options: { runs: number; seed: number }) => Promise<FuzzReport>

const fuzzDocuments: FuzzPart = async (gateway, { runs, seed }) => {
  const report: FuzzReport = { inputs: 0, refusals: [] }
  const property = fc.asyncProperty(graphqlInputs, async ({ asker, accept, body }) => {
    const startedAt = performance.now()
    const response = await gateway.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, ...gateway.askers[asker]() },
      body,
    })
    const text = await response.text()
    const milliseconds = performance.now() - startedAt
    judgeResponse(gateway, response, text)
    const parts = parseGraphqlResponse(response, text)
    report.inputs += 1
    if (parts.length > 0 && parts.every(({ data }) => data === undefined)) report.refusals.push(milliseconds)
  })
  await fc.assert(property, { numRuns: runs, seed })
  return report
}

function fuzzRequests(inputs: fc.Arbitrary<RequestInput>): FuzzPart {
  return async (gateway, { runs, seed }) => {
    const report: FuzzReport = { inputs: 0, refusals: [] }
    const property = fc.asyncProperty(inputs, async (input) => {
      const attempt = input.attempt === null ? null : await startAttempt(gateway, input.attempt)
      const { cookie = '' } = gateway.askers.session()
      const token = gateway.askers.token().authorization.replace('Bearer ', '')
      const stand = (text: string) =>
        text
          .replaceAll('STATE', attempt?.state ?? '')
          .replaceAll('COOKIE', attempt?.cookie ?? '')
          .replaceAll('SESSION', cookie.slice(cookie.indexOf('=') + 1))
          .replaceAll('TOKEN', token)
      const { method, path, body } = input
      const headers = input.headers.map(([name, value]): [string, string] => [name, stand(value)])
      const startedAt = performance.now()
      const response = await gateway.request(stand(path), { method, headers, body })
      const text = await response.text()
      const milliseconds = performance.now() - startedAt
      judgeResponse(gateway, response, text)
      judgeRedirect(gateway, response)
      report.inputs += 1
      const isRefused = response.status >= 400 || response.headers.get('location')?.includes('failed') === true
      if (isRefused) report.refusals.push(milliseconds)
    })
    await fc.assert(property, { numRuns: runs, seed })
    return report
  }
}

/** Starts a sign-in or a connect as a browser does. */
async function startAttempt(gateway: FuzzGateway, provider: 'github' | 'x') {
  const { cookie } = gateway.askers.session()
  const response = await gateway.request(`/auth/${provider}`, { headers: { cookie, 'sec-fetch-site': 'same-origin' } })
  const state = new URL(response.headers.get('location') ?? '').searchParams.get('state')
  if (state === null)
    throw new Error(`Bug: no attempt was begun: ${response.status} ${response.headers.get('location')}`)
  const own = response.headers.getSetCookie().map((header) => header.split(';', 1)[0])
  return { state, cookie: [cookie, ...own].join('; ') }
}

// Redirects may lead to a provider's page and to the gateway alone.
function judgeRedirect(gateway: FuzzGateway, response: Response): void {
  const location = response.headers.get('location')
  if (location === null) return
  const { publicUrl, github, x } = gateway.deps.config
  const { origin } = new URL(location, publicUrl)
  if (![publicUrl, github.url, x.url].includes(origin)) throw new Error(`Redirected to another origin: ${location}`)
}

// Signing in and connecting, with arbitrary responses of the providers.
const fuzzProviderResponses: FuzzPart = async (gateway, { runs, seed }) => {
  const report: FuzzReport = { inputs: 0, refusals: [] }
  const property = fc.asyncProperty(fc.constantFrom('github', 'x'), responsePairs, async (provider, responses) => {
    // X's refusal of the whole app would prevent later attempts.
    await gateway.deps.db.delete(xBlocks)
    const { state, cookie } = await startAttempt(gateway, provider)
    gateway.providers.respondWith(responses)
    const startedAt = performance.now()
    const response = await gateway.request(`/auth/${provider}/callback?state=${state}&code=a-code`, {
      headers: { cookie, 'sec-fetch-site': 'cross-site' },
    })
    const milliseconds = performance.now() - startedAt
    const text = await response.text()
    const location = response.headers.get('location') ?? ''
    // Client credentials that a provider rejects are the operator's problem, and are logged at that
    // level.
    for (const line of gateway.takeErrors()) {
      if (!/_CREDENTIALS_REJECTED|"fault":"OPERATOR"/.test(line))
        throw new Error(`The gateway failed: ${line.slice(0, 2_000)}`)
      if (line.includes(RESPONSE_TOKEN)) throw new Error('The log holds a token')
    }
    judgeResponse(gateway, response, text)
    judgeRedirect(gateway, response)
    if (response.status !== 303) throw new Error(`No redirect: ${response.status} ${text.slice(0, 600)}`)
    if (gateway.providers.asked() === 0) throw new Error('Bug: no provider was asked')
    report.inputs += 1
    if (location.includes('failed')) report.refusals.push(milliseconds)
  })
  gateway.secrets.add(RESPONSE_TOKEN)
  await fc.assert(property, { numRuns: runs, seed })
  return report
}

const DAY_MILLISECONDS = 86_400_000

// Posting, deleting and looking up a tweet: with any response of X the result is done, refused with
// a published code, or unknown.
const fuzzTweetResponses: FuzzPart = async (gateway, { runs, seed }) => {
  const report: FuzzReport = { inputs: 0, refusals: [] }
  const { deps } = gateway
  const tweet = { text: 'A tweet', replyToXTweetId: null, replySettings: null, madeWithAi: false }
  const property = fc.asyncProperty(fc.constantFrom('post', 'delete', 'look'), tweetResponses, async (what, given) => {
    gateway.providers.respondWith([given])
    const startedAt = performance.now()
    const response =
      what === 'post'
        ? await createTweet(deps, RESPONSE_TOKEN, tweet)
        : what === 'delete'
          ? await deleteXTweet(deps, RESPONSE_TOKEN, '1')
          : await fetchTimeline(deps, RESPONSE_TOKEN, '1', new Date(0), null)
    const milliseconds = performance.now() - startedAt
    if (response.kind === 'refused') {
      if (!isErrorCode(response.code)) throw new Error(`No code of the list: ${response.code}`)
      const wait = response.retryAt === null ? 0 : response.retryAt.getTime() - deps.clock.now().getTime()
      // A spending cap ends with X's billing month.
      const longest = response.code === 'X_USAGE_CAPPED' ? 32 * DAY_MILLISECONDS : DAY_MILLISECONDS
      if (JSON.stringify(response).includes(RESPONSE_TOKEN)) throw new Error('The refusal holds a token')
      if (!(wait <= longest)) throw new Error(`A wait of ${wait} ms`)
      report.refusals.push(milliseconds)
    }
    // A tweet is POSTED only if X accepted it and returned its id.
    if (what === 'post' && response.kind === 'done' && !/^\d{1,19}$/.test(String(response.value)))
      throw new Error('No id')
    if (
      response.kind === 'unknown' &&
      response.cause instanceof Error &&
      response.cause.message.includes(RESPONSE_TOKEN)
    )
      throw new Error('The cause holds a token')
    report.inputs += 1
  })
  await fc.assert(property, { numRuns: runs, seed })
  return report
}

/** Every part by its name. */
export const fuzzParts: Record<string, FuzzPart> = {
  documents: fuzzDocuments,
  identities: fuzzRequests(identityInputs),
  callbacks: fuzzRequests(callbackInputs),
  forms: fuzzRequests(formInputs),
  responses: fuzzProviderResponses,
  tweets: fuzzTweetResponses,
}
