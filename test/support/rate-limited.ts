// A world with small rate limits, and requests whose rate-limit headers are read. The windows are so
// long that no limit refills during a story, however slow the machine, unless the clock is moved.
import type { Browser } from './browser.ts'
import { generousLimits } from './generous-limits.ts'
import { startWorld, type World } from './harness.ts'
import { ask } from './raw-graphql.ts'

/** The window of the stories' limits. */
export const HOUR_SECONDS = 3600

/** Starts a world with these limits, in the format of RATE_LIMITS, and generous ones for the rest. */
export function startLimited(limits: string, environment: Record<string, string> = {}): Promise<World> {
  return startWorld({ RATE_LIMITS: `${generousLimits},${limits}`, ...environment })
}

/** Sends this document, and returns the body with the headers about rate limits. */
export async function send(person: Browser, query: string, headers: Record<string, string> = {}) {
  const response = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: ask(query),
  })
  const header = (name: string) => response.headers.get(name)
  return {
    status: response.status,
    policy: header('ratelimit-policy'),
    left: header('ratelimit'),
    retryAfter: header('retry-after'),
    body: (await response.json()) as {
      data?: Record<string, unknown>
      errors?: { message: string; extensions: { code: string; retryAt: string } }[]
    },
  }
}

/** Returns the statuses of this many requests, sent one after the other. */
export async function statuses(count: number, work: () => Promise<{ status: number }>): Promise<number[]> {
  const seen: number[] = []
  for (let call = 0; call < count; call++) seen.push((await work()).status)
  return seen
}
