/**
 * X's rate limits per user (docs.x.com, "Rate limits"): fixed windows that begin with the first
 * request. They are not stored, since a window is 15 minutes at most.
 */
export type LimitName = 'posts-per-day' | EndpointLimit
export type EndpointLimit =
  | 'post-tweet'
  | 'delete-tweet'
  | 'users-me'
  | 'user-tweets'
  | 'read-tweets'
  | 'media-upload'
  | 'media-status'
  | 'media-initialize'
  | 'media-append'
  | 'media-finalize'
  | 'media-metadata'

export type RateLimits = {
  take(name: EndpointLimit, accountId: string, now: number): { allowed: boolean; headers: Record<string, string> }
  setLimit(name: LimitName, limit: number): void
}

type Window = { startedAt: number; count: number }

const WINDOW_MILLISECONDS = 15 * 60 * 1000
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000

/** Creates the rate limits with X's documented values. */
export function createRateLimits(): RateLimits {
  const limits: Record<LimitName, number> = {
    'post-tweet': 100,
    'delete-tweet': 50,
    'users-me': 75,
    'user-tweets': 900,
    'read-tweets': 900,
    'media-upload': 500,
    'media-status': 1000,
    'media-initialize': 1875,
    'media-append': 1875,
    'media-finalize': 1875,
    'media-metadata': 500,
    // A limit of the whole app. X does not document the limit per user of paid plans: the same
    // value is sent.
    'posts-per-day': 10_000,
  }
  const windows = new Map<string, Window>()

  return {
    take(name, accountId, now) {
      const window = currentWindow(windows, `${name} ${accountId}`, WINDOW_MILLISECONDS, now)
      const day = currentWindow(windows, name, DAY_MILLISECONDS, now)
      const userDay = currentWindow(windows, `${name} day ${accountId}`, DAY_MILLISECONDS, now)
      const dayIsFull = name === 'post-tweet' && day.count >= limits['posts-per-day']
      const allowed = window.count < limits[name] && !dayIsFull
      if (allowed) for (const counted of [window, day, userDay]) counted.count += 1
      const headers = limitHeaders('x-rate-limit', limits[name], window, WINDOW_MILLISECONDS)
      if (name === 'post-tweet') {
        Object.assign(headers, limitHeaders('x-user-limit-24hour', limits['posts-per-day'], userDay, DAY_MILLISECONDS))
        Object.assign(headers, limitHeaders('x-app-limit-24hour', limits['posts-per-day'], day, DAY_MILLISECONDS))
      }
      return { allowed, headers }
    },
    setLimit(name, limit) {
      limits[name] = limit
    },
  }
}

function currentWindow(windows: Map<string, Window>, key: string, length: number, now: number): Window {
  const known = windows.get(key)
  if (known !== undefined && now < known.startedAt + length) return known
  const fresh = { startedAt: now, count: 0 }
  windows.set(key, fresh)
  return fresh
}

function limitHeaders(prefix: string, limit: number, window: Window, length: number): Record<string, string> {
  return {
    [`${prefix}-limit`]: String(limit),
    [`${prefix}-remaining`]: String(Math.max(0, limit - window.count)),
    [`${prefix}-reset`]: String(Math.ceil((window.startedAt + length) / 1000)),
  }
}
