// postgres.js fails fast when the server is gone, but waits for ever for one that is frozen, or for a connection of a pool that is
// stuck in such a server. So each query gets a deadline here, and only so many may wait at once.

import type postgres from 'postgres'
import { withTimeout } from '../process/with-timeout.ts'
import { DatabaseTimeoutError } from './outage.ts'

// Above the server's own statement_timeout of 5 s, whose error says more.
const DEADLINE_SECONDS = 8
// Beyond this, waiting only makes the queue longer than anybody's patience.
const MAX_WAITING = 200

/** The same client, with a deadline on every query and transaction that passes through `unsafe` and `begin`, as Drizzle's do. */
export function withDeadlines(client: postgres.Sql, deadlineSeconds = DEADLINE_SECONDS): postgres.Sql {
  let waiting = 0
  const bound = async <T>(work: () => PromiseLike<T>, cancel: (started: PromiseLike<T>) => void): Promise<T> => {
    if (waiting >= MAX_WAITING) throw new DatabaseTimeoutError(`More than ${MAX_WAITING} queries wait for the database`)
    waiting += 1
    const started = work()
    try {
      return await withTimeout(deadlineSeconds, started, () => {
        cancel(started)
        throw new DatabaseTimeoutError(`The database has not answered for ${deadlineSeconds} s`)
      })
    } finally {
      waiting -= 1
    }
  }
  return new Proxy(client, {
    get(target, property) {
      if (property === 'unsafe') {
        return (...args: Parameters<postgres.Sql['unsafe']>) => boundQuery(target.unsafe(...args), bound)
      }
      if (property === 'begin') {
        // What runs inside is bounded by the whole.
        return (...args: [never]) =>
          bound(
            () => target.begin(...args),
            () => {},
          )
      }
      return Reflect.get(target, property)
    },
  })
}

type Bound = <T>(work: () => PromiseLike<T>, cancel: (started: PromiseLike<T>) => void) => Promise<T>
type Query = postgres.PendingQuery<postgres.Row[]>

// A query starts when it is awaited, and Drizzle may ask for its rows as arrays first.
function boundQuery(query: Query, bound: Bound): Query {
  return new Proxy(query, {
    get(target, property) {
      if (property === 'then') {
        const settled = bound(
          () => target,
          () => cancelQuietly(target),
        )
        return settled.then.bind(settled)
      }
      if (property === 'values') return () => boundQuery(target.values() as unknown as Query, bound)
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

// A cancel opens a connection of its own, and the driver drops its promise: where the database cannot be reached, its rejection would
// be nobody's, and end the process.
function cancelQuietly(query: Query): void {
  const cancel: unknown = Reflect.get(query, 'canceller')
  if (typeof cancel === 'function')
    Reflect.set(query, 'canceller', (cancelled: Query) => Promise.resolve(cancel(cancelled)).catch(() => {}))
  query.cancel()
}
