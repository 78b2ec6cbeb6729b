// While a provider is down, most calls to it are not made: each would cost its caller the whole deadline, and the provider its recovery.
// The only file that imports opossum.
import CircuitBreaker from 'opossum'
import type { Log } from './log.ts'
import type { Breaker, CallResult } from './outbound.ts'

/** A breaker for each provider and class of calls: a token endpoint may be well while posting is down. */
export type Breakers = Readonly<Record<'GITHUB' | 'X_TOKEN' | 'X_POST' | 'X_READ', Breaker>>

// Open when more than half of at least twenty calls fail within half a minute; then one probe every five seconds.
const FAILURES_PERCENT = 50
const MIN_CALLS = 20
const WINDOW_SECONDS = 30
const PROBE_AFTER_SECONDS = 5

/** Makes the process's breakers. */
export function createBreakers(log: Log): Breakers {
  const create = (name: keyof Breakers) => createBreaker(name, log)
  return { GITHUB: create('GITHUB'), X_TOKEN: create('X_TOKEN'), X_POST: create('X_POST'), X_READ: create('X_READ') }
}

function createBreaker(name: keyof Breakers, log: Log): Breaker {
  // opossum counts what is thrown.
  const run = async (call: () => Promise<CallResult<unknown>>) => {
    const result = await call()
    if (isOutage(result)) throw new Outage(result)
    return result
  }
  const circuit = new CircuitBreaker(run, {
    // The outgoing call has its own deadline, which knows of stalls.
    timeout: false,
    errorThresholdPercentage: FAILURES_PERCENT,
    volumeThreshold: MIN_CALLS,
    rollingCountTimeout: WINDOW_SECONDS * 1000,
    resetTimeout: PROBE_AFTER_SECONDS * 1000,
  })
  circuit.on('open', () =>
    log.error({ breaker: name }, 'A provider is down: calls to it are held back, but for one every few seconds'),
  )
  circuit.on('close', () => log.warn({ breaker: name }, 'A provider is back'))
  return async <T>(call: () => Promise<CallResult<T>>): Promise<CallResult<T>> => {
    let result: CallResult<T> | null = null
    try {
      await circuit.fire(async () => {
        result = await call()
        return result
      })
    } catch (error) {
      // Held back, and so certainly not sent.
      if (result === null) return { ok: false, error, report: { sent: false, status: null, headers: {} } }
    }
    if (result === null) throw new Error('Bug: a breaker let a call pass that gave no result')
    return result
  }
}

class Outage extends Error {
  constructor({ report }: CallResult<unknown>) {
    super(report.status === null ? 'No answer' : `Status ${report.status}`)
    this.name = 'Outage'
  }
}

// A refusal, of whatever kind, comes from a provider that is well.
function isOutage({ report }: CallResult<unknown>): boolean {
  return report.status === null || report.status >= 500
}
