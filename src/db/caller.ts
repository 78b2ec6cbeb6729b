// For whom a query is sent, so that queries that wait for a connection are served in turns. It is
// found in the asynchronous context: features pass a handle of the database on, and know nothing of
// requests.
import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * The probe of /readyz, the work that no request waits for, callers whose session or API token is
 * valid, and all others.
 */
export type CallerKind = 'PROBE' | 'BACKGROUND' | 'IDENTIFIED' | 'ANONYMOUS'

/** A caller of the database. `subject` distinguishes those of one kind. */
export type Caller = { kind: CallerKind; subject: string }

// Without a context: jobs and timers.
const JOBS: Readonly<Caller> = { kind: 'BACKGROUND', subject: 'jobs' }

const context = new AsyncLocalStorage<Caller>()

/** Runs `work` for a client of whom only the address is known yet. */
export function runForAddress<T>(address: string, work: () => T): T {
  return context.run({ kind: 'ANONYMOUS', subject: address }, work)
}

/** From now on this request is one of a valid session or API token. */
export function identifyCaller(subject: string): void {
  const caller = context.getStore()
  if (caller !== undefined) Object.assign(caller, { kind: 'IDENTIFIED', subject })
}

/** Runs `work` for no single caller. @param subject the work, which takes turns with others. */
export function runInBackground<T>(subject: string, work: () => T): T {
  return context.run({ kind: 'BACKGROUND', subject }, work)
}

/** Runs `work` for the probe of /readyz. */
export function runProbe<T>(work: () => T): T {
  return context.run({ kind: 'PROBE', subject: 'readiness' }, work)
}

/** Returns a function that runs `work` for the caller of now, wherever it is called. */
export function keepCaller<Args extends unknown[], T>(work: (...args: Args) => T): (...args: Args) => T {
  return AsyncLocalStorage.bind(work)
}

/** The caller of the code that runs. */
export function currentCaller(): Readonly<Caller> {
  return context.getStore() ?? JOBS
}
