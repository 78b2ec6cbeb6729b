// Circuit breakers before the two calls whose lost response has to be paid for later: a refresh leaves a refresh token in doubt, a post
// leaves a tweet in doubt and costs billed reads of a timeline. While X leaves most of them in doubt they are held back, so that what
// was not sent is certain. Other calls have none: a sign-in, a read or a revocation that fails costs no more than its wait.
import type { Log } from '../telemetry/log.ts'
import { type CallResult, type CircuitBreaker, CircuitOpenError } from './provider-calls.ts'

/** One breaker for each class of calls: X may refresh tokens while posting is down. */
export type CircuitBreakers = Readonly<Record<'X_REFRESH' | 'X_POST', CircuitBreaker>>

// It opens when more than half of at least twenty calls within half a minute were left in doubt. Then one call every five seconds is
// let through, and the first that X answers closes it.
const MAX_FAILED_SHARE = 0.5
const MIN_CALLS = 20
const WINDOW_SECONDS = 30
const PROBE_AFTER_SECONDS = 5
// How long a call waits for the probe beside it: X answers within that when it is well. It is taken from the margin that claims and
// leases leave before a send (`sendMarginSeconds`), so it has to stay well below that.
const WAIT_FOR_PROBE_MILLISECONDS = 2_000

/**
 * Makes the process's breakers.
 * @param now the process's clock.
 */
export function createCircuitBreakers(log: Log, now: () => Date): CircuitBreakers {
  return { X_REFRESH: createCircuitBreaker('X_REFRESH', log, now), X_POST: createCircuitBreaker('X_POST', log, now) }
}

function createCircuitBreaker(name: keyof CircuitBreakers, log: Log, now: () => Date): CircuitBreaker {
  let recent: { at: number; failed: boolean }[] = []
  // The time it opened or last let a probe fail; null while it is closed.
  let openSince: number | null = null
  let probe: Promise<void> | null = null

  // A clock that was set back must not keep it open for longer.
  const secondsSince = (moment: number) => Math.abs(now().getTime() - moment) / 1000

  const count = (failed: boolean) => {
    recent = recent.filter(({ at }) => secondsSince(at) < WINDOW_SECONDS)
    recent.push({ at: now().getTime(), failed })
    const failures = recent.filter((call) => call.failed).length
    if (recent.length < MIN_CALLS || failures <= recent.length * MAX_FAILED_SHARE) return
    openSince = now().getTime()
    log.error(
      { breaker: name, calls: recent.length, failures },
      'X leaves calls in doubt: further ones are held back, but for one every few seconds',
    )
  }

  // One call is let through and decides for all.
  const callAsProbe = async <T>(call: () => Promise<CallResult<T>>): Promise<CallResult<T>> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    probe = promise
    // Unless a response proves that X is well, it stays open.
    openSince = now().getTime()
    try {
      const result = await call()
      if (result.report.sent && !isInDoubt(result)) {
        openSince = null
        // What failed before says nothing of X as it is now.
        recent = []
        log.warn({ breaker: name }, 'X answers again: calls are no longer held back')
      }
      return result
    } finally {
      probe = null
      resolve()
    }
  }

  return async (call) => {
    if (openSince !== null && probe !== null) await settledWithin(WAIT_FOR_PROBE_MILLISECONDS, probe)
    if (openSince !== null) {
      const seconds = PROBE_AFTER_SECONDS - secondsSince(openSince)
      if (probe === null && seconds <= 0) return callAsProbe(call)
      const error = new CircuitOpenError(Math.max(seconds, 1))
      return { ok: false, error, report: { sent: false, status: null, headers: {} } }
    }
    const result = await call()
    // A call that began before the breaker opened is no news. One that was not sent left nothing in doubt.
    if (openSince === null && result.report.sent) count(isInDoubt(result))
    return result
  }
}

// Any refusal, of whatever kind, comes from an X that is well. Without a status, with one of a server's failure, or with a response
// that could not be read, X may have acted.
function isInDoubt({ ok, report: { status } }: CallResult<unknown>): boolean {
  if (status === null || status >= 500) return true
  return !ok && (status < 400 || status >= 500)
}

async function settledWithin(milliseconds: number, work: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, milliseconds)
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
