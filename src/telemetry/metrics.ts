// What the process counts of its own work. This file knows nothing of a format: prometheus.ts keeps the
// numbers. Without METRICS_PORT there is no `Metrics`, and nothing is counted.

/** Counts what happens. No text of a client and no id may be in a label. */
export type Metrics = {
  /** A request that has been responded to. */
  countRequest(request: CountedRequest): void
  /** A call to GitHub or X that was sent. @param status null when no response came. */
  countProviderCall(call: ProviderCallName, status: number | null, seconds: number): void
  /**
   * A tweet whose posting has ended.
   * @param xStatus the status with which X has refused it; null where X did not say.
   */
  countPost(outcome: 'POSTED' | 'FAILED' | 'UNKNOWN', xStatus: number | '2xx' | null): void
  /** A refresh of tokens that has ended. @param xStatus the status of X's response; null without one. */
  countRefresh(outcome: RefreshCountOutcome, xStatus: number | null): void
  /** An attempt to deliver a webhook. DEAD: it was the last one, and has failed. */
  countDelivery(outcome: 'DELIVERED' | 'FAILED' | 'DEAD', seconds: number): void
  /** A run of a background job or of a task of the maintenance. */
  countJob(queue: string, outcome: 'DONE' | 'FAILED', seconds: number): void
}

export type CountedRequest = {
  path: string
  status: number
  seconds: number
  /** The root fields of a valid GraphQL document; null for other requests. */
  rootFields: readonly string[] | null
  errorCodes: readonly string[]
}

/**
 * How a refresh has ended. REJECTED: X no longer accepts the refresh token. LOST: the response was lost,
 * so that the token may be spent. APP_REJECTED: X rejects the credentials of the app. UNAVAILABLE: X
 * could not refresh now. NOT_SENT: nothing was sent, for example while a circuit breaker is open.
 */
export type RefreshCountOutcome = 'REFRESHED' | 'REJECTED' | 'LOST' | 'APP_REJECTED' | 'UNAVAILABLE' | 'NOT_SENT'

/** The calls to providers, by what they do. */
export type ProviderCallName = (typeof providerCalls)[number][0]

// By method and path. The first match decides.
const providerCalls = [
  ['x_token', /^POST \/2\/oauth2\/token$/],
  ['x_revoke', /^POST \/2\/oauth2\/revoke$/],
  ['x_post_tweet', /^POST \/2\/tweets$/],
  ['x_delete_tweet', /^DELETE \/2\/tweets\//],
  ['x_read_profile', /^GET \/2\/users\/me$/],
  ['x_read_timeline', /^GET \/2\/users\/\d+\/tweets$/],
  ['github_token', /^POST .*\/login\/oauth\/access_token$/],
  ['github_read_user', /^GET .*\/user$/],
  ['other', /^/],
] as const

/** Returns which call a request is. @param path may have a query, which is left out. */
export function nameProviderCall(method: string, path: string): ProviderCallName {
  const request = `${method} ${path.split('?', 1)[0]}`
  return providerCalls.find(([, pattern]) => pattern.test(request))?.[0] ?? 'other'
}

// The paths of the routes, as app.ts mounts them.
const routes = new Set([
  '/',
  '/graphql',
  '/healthz',
  '/readyz',
  '/favicon.ico',
  '/auth/github',
  '/auth/github/callback',
  '/auth/x',
  '/auth/x/callback',
  '/auth/sign-out',
  '/auth/token/revoke',
])

/** Returns the route of a path: one of a closed list, `/assets` or `other`. */
export function nameRoute(path: string): string {
  if (routes.has(path)) return path
  return path.startsWith('/assets/') ? '/assets' : 'other'
}

/**
 * Returns the operation of a request: its root field, which is a name of the schema and not of the
 * client; `several`; or `none`.
 */
export function nameOperation(rootFields: readonly string[] | null): string {
  const [first = 'none', ...others] = rootFields ?? []
  return others.length > 0 ? 'several' : first
}
