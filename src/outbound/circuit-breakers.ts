// Circuit breakers for the two calls whose lost response is expensive: a refresh leaves the refresh
// token in doubt, and a post leaves the tweet in doubt, which costs billed reads of a timeline.
// While a breaker is open nothing is sent, so nothing is in doubt. Other calls have no breaker: a
// sign-in, read or revocation that fails costs only its waiting time.
import { withTimeout } from '../process/with-timeout.ts'
import type { Log } from '../telemetry/log.ts'
import { type CallResult, type CircuitBreaker, CircuitOpenError } from './provider-calls.ts'

/**
 * One circuit breaker for each class of calls, because X can refresh tokens while posting is down.
 */
export type CircuitBreakers = Readonly<Record<BreakerName, CircuitBreaker>> & {
  /** True while calls of this class are not sent, but for a probe. */
  isOpen(name: BreakerName): boolean
}

type BreakerName = 'X_REFRESH' | 'X_POST'

// A breaker opens when more than half of at least 20 calls within 30 seconds were left in doubt.
// Open, it lets one probe through every 5 seconds; the first that gets a response from X closes it.
const MAX_FAILED_SHARE = 0.5
const MIN_CALLS = 20
const WINDOW_SECONDS = 30
const PROBE_AFTER_SECONDS = 5
// How long a call waits for a concurrent probe: a healthy X responds within this. It must stay well
// below the margin that claims and leases leave before a send (`sendMarginSeconds`).
const WAIT_FOR_PROBE_SECONDS = 2

/**
 * Creates the circuit breakers of the process.
 * @param now the process's clock.
 */
export function createCircuitBreakers(log: Log, now: () => Date): CircuitBreakers {
  const created = {
    X_REFRESH: createCircuitBreaker('X_REFRESH', log, now),
    X_POST: createCircuitBreaker('X_POST', log, now),
  }
  return {
    X_REFRESH: created.X_REFRESH.breaker,
    X_POST: created.X_POST.breaker,
    isOpen: (name) => created[name].isOpen(),
  }
}

function createCircuitBreaker(
  name: BreakerName,
  log: Log,
  now: () => Date,
): { breaker: CircuitBreaker; isOpen: () => boolean } {
  let recent: { at: number; failed: boolean }[] = []
  // When the breaker opened or its last probe started, in milliseconds; null while it is closed.
  let openSince: number | null = null
  let probe: Promise<void> | null = null

  // Absolute, so that a clock that is set back does not keep the breaker open.
  const secondsSince = (moment: number) => Math.abs(now().getTime() - moment) / 1000

  const count = (failed: boolean) => {
    recent = recent.filter(({ at }) => secondsSince(at) < WINDOW_SECONDS)
    recent.push({ at: now().getTime(), failed })
    const failures = recent.filter((call) => call.failed).length
    if (recent.length < MIN_CALLS || failures <= recent.length * MAX_FAILED_SHARE) return
    openSince = now().getTime()
    log.error(
      { breaker: name, calls: recent.length, failures },
      'Circuit breaker opened: X leaves calls in doubt. Only one probe every few seconds is sent',
    )
  }

  // The probe's result decides for the calls that wait for it.
  const callAsProbe = async <T>(call: () => Promise<CallResult<T>>): Promise<CallResult<T>> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    probe = promise
    // The breaker stays open unless the probe gets a response.
    openSince = now().getTime()
    try {
      const result = await call()
      if (result.report.sent && !isInDoubt(result)) {
        openSince = null
        // Failures from before the recovery no longer count.
        recent = []
        log.info({ breaker: name }, 'Circuit breaker closed: X responds again')
      }
      return result
    } finally {
      probe = null
      resolve()
    }
  }

  const breaker: CircuitBreaker = async (call) => {
    if (openSince !== null && probe !== null) await withTimeout(WAIT_FOR_PROBE_SECONDS, probe, () => {})
    if (openSince !== null) {
      const seconds = PROBE_AFTER_SECONDS - secondsSince(openSince)
      if (probe === null && seconds <= 0) return callAsProbe(call)
      const error = new CircuitOpenError(Math.max(seconds, 1))
      return { ok: false, error, report: { sent: false, status: null, headers: {} } }
    }
    const result = await call()
    // Calls that began before the breaker opened, and calls that were not sent, do not count.
    if (openSince === null && result.report.sent) count(isInDoubt(result))
    return result
  }
  return { breaker, isOpen: () => openSince !== null }
}

// A 4xx comes from a healthy X. Without a status, with a 5xx, or with a response that cannot be
// parsed, X may have acted on the request.
function isInDoubt({ ok, report: { status } }: CallResult<unknown>): boolean {
  if (status === null || status >= 500) return true
  return !ok && (status < 400 || status >= 500)
}
