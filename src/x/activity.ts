// X's Activity API: what X tells an app about users who authorized it. X describes `oauth.revoke`
// since July 2026, its OpenAPI document does not list it, and its responses come in several shapes:
// everything here is read tolerantly, and a refusal is an expected outcome.
import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { type CallReport, callProvider, noCircuitBreaker, parseJson } from '../outbound/provider-calls.ts'

const REVOKE = 'oauth.revoke'

/** A user has revoked the access of an app. */
export type RevokeEvent = {
  /** X may send an event more than once, with the same id. */
  eventId: string
  /** X's id of the account. */
  providerAccountId: string
  /** X's id of the app. */
  appId: string
  at: Date
}

/** The result of a call with the app's token. */
export type ActivityResult<T> =
  | { kind: 'done'; value: T }
  /** X does not offer this to the app, whenever it is asked. */
  | { kind: 'refused'; status: number }
  | { kind: 'failed'; status: number | null; cause: unknown }

// JSON.parse rounds a number beyond the safe integers: it could name another account.
const text = z.union([z.string(), z.int()]).transform(String).pipe(z.string().max(100))
const xId = text.pipe(z.string().regex(/^\d{1,20}$/))
const tokenShape = z.object({ access_token: z.string().min(1) })
const eventShape = z.object({
  event_uuid: text,
  event_type: z.string(),
  payload: z.object({ date_time: z.coerce.date(), user_id: xId, app_id: text }),
})
const lineShape = z.object({ data: z.union([z.unknown().array(), z.unknown().transform((one) => [one])]) })

/**
 * Returns the app's bearer token: the configured one, or one for the API key and secret (docs.x.com,
 * "OAuth 2.0 Bearer Token").
 */
export async function getAppToken(deps: Deps): Promise<ActivityResult<string>> {
  const { app } = deps.config.x
  if (app === null) throw new Error('Bug: no credentials of the app at X are configured')
  if (app.bearerToken !== null) return { kind: 'done', value: app.bearerToken }
  const key = Buffer.from(`${app.apiKey}:${app.apiSecret}`).toString('base64')
  return callApp(deps, '/oauth2/token', (body) => tokenShape.parse(body).access_token, {
    method: 'POST',
    headers: { authorization: `Basic ${key}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=client_credentials',
  })
}

/** Subscribes the app to revocations. A subscription that exists is kept: X refuses a second one. */
export async function subscribeToRevocations(deps: Deps, token: string): Promise<ActivityResult<null>> {
  const path = '/2/activity/subscriptions'
  const headers = { authorization: `Bearer ${token}` }
  const listed = await callApp(deps, path, (body) => JSON.stringify(body).includes(`"${REVOKE}"`), { headers })
  if (listed.kind !== 'done') return listed
  if (listed.value) return { kind: 'done', value: null }
  return callApp(deps, path, () => null, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ event_type: REVOKE, filter: {} }),
  })
}

/** Returns the revocations in a line of the stream. Other events, and text of another shape, are skipped. */
export function parseRevocations(line: string): RevokeEvent[] {
  let body: unknown
  try {
    body = JSON.parse(line)
  } catch {
    return []
  }
  const events = lineShape.safeParse(body).data?.data ?? []
  return events.flatMap((event) => {
    const parsed = eventShape.safeParse(event).data
    if (parsed?.event_type !== REVOKE) return []
    const { event_uuid: eventId, payload } = parsed
    return { eventId, providerAccountId: payload.user_id, appId: payload.app_id, at: payload.date_time }
  })
}

/** Returns true for a status with which X refuses a call whenever it is made. */
export function isLastingRefusal(status: number): boolean {
  return [400, 401, 403, 404].includes(status)
}

async function callApp<T>(
  deps: Deps,
  path: string,
  read: (body: unknown) => T,
  init: RequestInit,
): Promise<ActivityResult<T>> {
  const result = await callProvider(noCircuitBreaker, async () => {
    const response = await fetch(`${deps.config.x.apiUrl}${path}`, {
      ...init,
      headers: { accept: 'application/json', 'user-agent': 'xconnect-gateway', ...init.headers },
    })
    const body = await response.text()
    return response.ok ? read(parseJson(body, response.status)) : null
  })
  const { status }: CallReport = result.report
  if (status !== null && isLastingRefusal(status)) return { kind: 'refused', status }
  if (status === null || status >= 300) return { kind: 'failed', status, cause: result.ok ? null : result.error }
  return result.ok ? { kind: 'done', value: result.value as T } : { kind: 'failed', status, cause: result.error }
}
