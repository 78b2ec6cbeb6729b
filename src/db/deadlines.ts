// Deadlines for queries. postgres.js fails fast when the server is down, but waits without limit
// for a frozen one, or for a connection of a pool whose connections are stuck. The number of
// waiting queries is limited too.

import type postgres from 'postgres'
import { withTimeout } from '../process/with-timeout.ts'
import { DatabaseTimeoutError } from './outage.ts'
import { isStaleStatement } from './stale-statement.ts'

// Above the statement_timeout of 5 s, whose error says more.
const DEADLINE_SECONDS = 8
// More would wait longer than their clients do.
const MAX_WAITING = 200

/**
 * Returns the client with a deadline on every query and transaction through `unsafe` and `begin`,
 * which Drizzle uses.
 */
export function withDeadlines(client: postgres.Sql, deadlineSeconds = DEADLINE_SECONDS): postgres.Sql {
  let waiting = 0
  const bound = async <T>(work: () => PromiseLike<T>, cancel: (started: PromiseLike<T>) => void): Promise<T> => {
    if (waiting >= MAX_WAITING) throw new DatabaseTimeoutError(`More than ${MAX_WAITING} queries wait for the database`)
    waiting += 1
    const started = work()
    try {
      return await withTimeout(deadlineSeconds, started, () => {
        cancel(started)
        throw new DatabaseTimeoutError(`The database has not responded for ${deadlineSeconds} s`)
      })
    } finally {
      waiting -= 1
    }
  }
  return new Proxy(client, {
    get(target, property) {
      if (property === 'unsafe') {
        return (...args: Parameters<postgres.Sql['unsafe']>) => boundQuery(() => target.unsafe(...args), bound)
      }
      if (property === 'begin') {
        // The deadline of the transaction covers its queries.
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

// A query starts when it is awaited; before that, Drizzle may call `values`. One that a migration
// has made invalid was not executed, and is sent once more.
function boundQuery(create: () => Query, bound: Bound): Query {
  const send = (query: Query) =>
    bound(
      () => query,
      () => cancelQuietly(query),
    )
  return new Proxy(create(), {
    get(target, property) {
      if (property === 'then') {
        const settled = send(target).catch((error: unknown) => {
          if (!isStaleStatement(error)) throw error
          return send(create())
        })
        return settled.then.bind(settled)
      }
      if (property === 'values') return () => boundQuery(() => create().values() as unknown as Query, bound)
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

// The driver opens a connection to cancel a query and ignores the promise. When the database is
// unreachable, the unhandled rejection would end the process.
function cancelQuietly(query: Query): void {
  const cancel: unknown = Reflect.get(query, 'canceller')
  if (typeof cancel === 'function')
    Reflect.set(query, 'canceller', (cancelled: Query) => Promise.resolve(cancel(cancelled)).catch(() => {}))
  query.cancel()
}
