// Calls to X's API, each in two steps: one that asks, one that judges the answer.
import { z } from 'zod'
import type { OAuthApp } from '../auth/oauth-client.ts'
import type { Deps } from '../deps.ts'
import { type CallReport, callProvider, noCircuitBreaker, parseJson, storableText } from '../outbound/provider-calls.ts'
import { classifyRefusal, type Refusal, refusal } from './refusals.ts'

/** What came of a call to X's API. */
export type XResult<T> =
  | { kind: 'done'; value: T }
  /** 401: this access token is not accepted. Nothing was done. */
  | { kind: 'unauthorized' }
  /** X said no and did nothing; or something in front of X did, which is not certain. */
  | Refusal
  /** X may or may not have done it. */
  | { kind: 'unknown'; cause: unknown }

/** The profile that X shows of an account. */
export type XProfile = {
  providerAccountId: string
  username: string
  displayName: string | null
  avatarUrl: string | null
  subscriptionType: string | null
}

/** What is sent to X for one tweet. */
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
// X answers for what is missing with 200, `errors` and no `data`.
const deletedShape = z.union([
  z.object({ data: z.object({ deleted: z.literal(true) }) }),
  z.object({ errors: z.array(z.looseObject({ type: z.string().regex(/\/resource-not-found$/) })).min(1) }),
])
// X's own 404 is a problem document; of one with an empty object nothing speaks against it.
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

/** Whose access token this is. Billed: asked once, at linking. */
export async function fetchMe(deps: Deps, accessToken: string): Promise<XResult<XProfile>> {
  const answer = await ask(
    deps,
    'GET',
    '/2/users/me?user.fields=profile_image_url,verified,verified_type,subscription_type',
    accessToken,
  )
  return judge(deps, answer, meShape, ({ data }) => ({
    providerAccountId: data.id,
    username: data.username,
    displayName: data.name ?? null,
    avatarUrl: data.profile_image_url ?? null,
    subscriptionType: data.subscription_type ?? null,
  }))
}

/** Posts a tweet, once. Yields its id. X has no idempotency key: after `unknown` the tweet may exist. */
export async function createTweet(deps: Deps, accessToken: string, tweet: XTweetRequest): Promise<XResult<string>> {
  const body = {
    text: tweet.text,
    ...(tweet.replyToXTweetId !== null && { reply: { in_reply_to_tweet_id: tweet.replyToXTweetId } }),
    ...(tweet.replySettings !== null && { reply_settings: REPLY_SETTINGS[tweet.replySettings] }),
    // X wants a flag only when it is true.
    ...(tweet.madeWithAi && { made_with_ai: true }),
  }
  return judge(deps, await ask(deps, 'POST', '/2/tweets', accessToken, body), tweetShape, ({ data }) => data.id)
}

/** Deletes a tweet. One that is gone already counts as deleted. */
export async function deleteXTweet(deps: Deps, accessToken: string, xTweetId: string): Promise<XResult<true>> {
  const answer = await ask(deps, 'DELETE', `/2/tweets/${xTweetId}`, accessToken)
  // A page in X's place says 404 as well, of the address and not of the tweet.
  const isGone = answer.report.status === 404 && goneShape.safeParse(answer.body).success
  return isGone ? { kind: 'done', value: true } : judge(deps, answer, deletedShape, () => true as const)
}

/** What came back from X, not judged yet. */
export type XResponse = {
  report: CallReport
  /** Its JSON; null where there is none. */
  body: unknown
  /** True where there is a body, and it is no JSON. */
  isOtherText: boolean
  isPost: boolean
  error: unknown
}

/** Makes one call to X's API. */
export async function ask(
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

/** Judges an answer. @param read makes the value of a body of that shape. */
export function judge<Shape, T>(
  deps: Deps,
  answer: XResponse,
  shape: z.ZodType<Shape>,
  read: (body: Shape) => T,
): XResult<T> {
  const { status, sent } = answer.report
  if (status === null) return sent ? { kind: 'unknown', cause: answer.error } : refusal('X_UNAVAILABLE')
  if (status >= 200 && status < 300) {
    const parsed = shape.safeParse(answer.body)
    // A 2xx with an empty id has been seen.
    return parsed.success
      ? { kind: 'done', value: read(parsed.data) }
      : { kind: 'unknown', cause: answer.error ?? new Error(`Status ${status} without the promised body`) }
  }
  if (status < 400 || status >= 500)
    return { kind: 'unknown', cause: answer.error ?? new Error(`X answered ${status}`) }
  const { report, body, isOtherText, isPost } = answer
  return classifyRefusal({ status, headers: report.headers, body, isOtherText, isPost }, deps.clock.now())
}
