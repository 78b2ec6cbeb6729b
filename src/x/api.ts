// Calls to X's API, each in two steps: `callX` sends the request, `parseResult` validates the
// response.
import { z } from 'zod'
import type { OAuthApp } from '../auth/oauth-client.ts'
import type { Deps } from '../deps.ts'
import { type CallReport, callProvider, noCircuitBreaker, parseJson, storableText } from '../outbound/provider-calls.ts'
import { classifyRefusal, type Refusal, refusal } from './refusals.ts'

/** The result of a call to X's API. */
export type XResult<T> =
  | { kind: 'done'; value: T }
  /** 401: X rejects the access token. Nothing was done. */
  | { kind: 'unauthorized' }
  /** X, or something in front of X, refused the call: see `isCertain`. */
  | Refusal
  /** X may or may not have processed the call. */
  | { kind: 'unknown'; cause: unknown }

/** The profile of an account at X. */
export type XProfile = {
  providerAccountId: string
  username: string
  displayName: string | null
  avatarUrl: string | null
  subscriptionType: string | null
}

/** The content of a tweet that is sent to X. */
export type XTweetRequest = {
  text: string
  replyToXTweetId: string | null
  replySettings: 'FOLLOWING' | 'MENTIONED_USERS' | 'SUBSCRIBERS' | 'VERIFIED' | null
  madeWithAi: boolean
}

const REPLY_SETTINGS = {
  FOLLOWING: 'following',
  MENTIONED_USERS: 'mentionedUsers',
  SUBSCRIBERS: 'subscribers',
  VERIFIED: 'verified',
} as const

/** X's ids are 64-bit: decimal strings, which a JavaScript number would round. */
export const xId = z.string().regex(/^\d{1,19}$/)
const meShape = z.object({
  data: z.object({
    id: xId,
    username: storableText.min(1),
    name: storableText.nullish(),
    profile_image_url: storableText.nullish(),
    subscription_type: storableText.nullish(),
  }),
})
const tweetShape = z.object({ data: z.object({ id: xId }) })
// For a missing tweet X responds 200 with `errors` and without `data`.
const deletedShape = z.union([
  z.object({ data: z.object({ deleted: z.literal(true) }) }),
  z.object({ errors: z.array(z.looseObject({ type: z.string().regex(/\/resource-not-found$/) })).min(1) }),
])
// X's own 404 is a problem document, or an empty object.
const goneShape = z.union([
  z.strictObject({}),
  z.looseObject({ type: z.string().regex(/^about:blank$|\/problems\/resource-not-found$/) }),
  z.looseObject({ errors: z.array(z.looseObject({ message: z.string() })).min(1) }),
])

/** Our app at X. */
export function xApp({ config }: Deps): OAuthApp {
  return {
    clientId: config.x.clientId,
    clientSecret: config.x.clientSecret,
    redirectUri: `${config.publicUrl}/auth/x/callback`,
  }
}

/** Reads the profile of the access token's account. Billed, so called once for each connection. */
export async function fetchMe(deps: Deps, accessToken: string): Promise<XResult<XProfile>> {
  const response = await callX(
    deps,
    'GET',
    '/2/users/me?user.fields=profile_image_url,verified,verified_type,subscription_type',
    accessToken,
  )
  return parseResult(deps, response, meShape, ({ data }) => ({
    providerAccountId: data.id,
    username: data.username,
    displayName: data.name ?? null,
    avatarUrl: data.profile_image_url ?? null,
    subscriptionType: data.subscription_type ?? null,
  }))
}

/**
 * Posts a tweet, and returns its id. X has no idempotency key: after `unknown` the tweet may exist.
 */
export async function createTweet(deps: Deps, accessToken: string, tweet: XTweetRequest): Promise<XResult<string>> {
  const body = {
    text: tweet.text,
    ...(tweet.replyToXTweetId !== null && { reply: { in_reply_to_tweet_id: tweet.replyToXTweetId } }),
    ...(tweet.replySettings !== null && { reply_settings: REPLY_SETTINGS[tweet.replySettings] }),
    // X wants a flag only when it is true.
    ...(tweet.madeWithAi && { made_with_ai: true }),
  }
  return parseResult(deps, await callX(deps, 'POST', '/2/tweets', accessToken, body), tweetShape, ({ data }) => data.id)
}

/** Deletes a tweet. One that does not exist counts as deleted. */
export async function deleteXTweet(deps: Deps, accessToken: string, xTweetId: string): Promise<XResult<true>> {
  const response = await callX(deps, 'DELETE', `/2/tweets/${xTweetId}`, accessToken)
  // A proxy's 404 page concerns the address, not the tweet.
  const isGone = response.report.status === 404 && goneShape.safeParse(response.body).success
  return isGone ? { kind: 'done', value: true } : parseResult(deps, response, deletedShape, () => true as const)
}

/** A response of X, not validated yet. */
export type XResponse = {
  report: CallReport
  /** The parsed JSON body; null when the body is empty or not JSON. */
  body: unknown
  /** True for a body that is not JSON. */
  isOtherText: boolean
  isPost: boolean
  error: unknown
}

/** Sends one request to X's API. */
export async function callX(
  deps: Deps,
  method: string,
  path: string,
  accessToken: string,
  json?: object,
): Promise<XResponse> {
  let isOtherText = false
  const result = await callProvider(
    method === 'POST' ? deps.circuitBreakers.X_POST : noCircuitBreaker,
    async (): Promise<unknown> => {
      const response = await fetch(`${deps.config.x.apiUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${accessToken}`,
          accept: 'application/json',
          'user-agent': 'xconnect-gateway',
          ...(json && { 'content-type': 'application/json' }),
        },
        ...(json && { body: JSON.stringify(json) }),
      })
      const text = await response.text()
      isOtherText = text !== ''
      const body = parseJson(text, response.status)
      isOtherText = false
      return body
    },
  )
  return {
    report: result.report,
    body: result.ok ? result.value : null,
    isOtherText,
    isPost: method === 'POST',
    error: result.ok ? null : result.error,
  }
}

/** Validates a response. @param read returns the value of a body of this shape. */
export function parseResult<Shape, T>(
  deps: Deps,
  response: XResponse,
  shape: z.ZodType<Shape>,
  read: (body: Shape) => T,
): XResult<T> {
  const { status, sent } = response.report
  if (status === null) return sent ? { kind: 'unknown', cause: response.error } : refusal('X_UNAVAILABLE')
  if (status >= 200 && status < 300) {
    const parsed = shape.safeParse(response.body)
    // A 2xx with an empty id has been seen.
    return parsed.success
      ? { kind: 'done', value: read(parsed.data) }
      : { kind: 'unknown', cause: response.error ?? new Error(`Status ${status} without the expected body`) }
  }
  if (status < 400 || status >= 500)
    return { kind: 'unknown', cause: response.error ?? new Error(`X responded ${status}`) }
  const { report, body, isOtherText, isPost } = response
  return classifyRefusal({ status, headers: report.headers, body, isOtherText, isPost }, deps.clock.now())
}
