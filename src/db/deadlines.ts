// Deadlines for queries. postgres.js fails fast when the server is down, but waits without limit
// for a frozen one, or for a connection of a pool whose connections are stuck. The number of
// waiting queries is limited too.

import type postgres from 'postgres'
import { DatabaseTimeoutError } from './outage.ts'
import { runAgainIfRolledBack } from './rolled-back.ts'
import type { WaitingRoom } from './waiting-room.ts'

// Above the statement_timeout of 5 s, whose error says more.
const DEADLINE_SECONDS = 8
// Of a client without a waiting room. More would wait longer than their clients do.
const MAX_WAITING = 200

/**
 * Returns the client with a deadline on every query and transaction through `unsafe` and `begin`,
 * which Drizzle uses. Of a query there are `then`, `catch` and `values`.
 * @param room the queue for the client's connections. The deadline includes the time in it.
 */
export function withDeadlines(
  client: postgres.Sql,
  deadlineSeconds = DEADLINE_SECONDS,
  room: Pick<WaitingRoom, 'enter'> | null = null,
): postgres.Sql {
  const bound = createBound(deadlineSeconds, room ?? createBoundedEntry())
  return new Proxy(client, {
    get(target, property) {
      if (property === 'unsafe')
        return (...args: Parameters<postgres.Sql['unsafe']>) => boundQuery(() => target.unsafe(...args), bound)
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

// All work has the same time, so that it ends in the order of its start, and one timer is enough. A
// timer and a race for each query cost as much as the query itself.
function createBound(deadlineSeconds: number, room: Pick<WaitingRoom, 'enter'>): Bound {
  type Waiting = { until: number; expire: () => void }
  const waiting = new Set<Waiting>()
  let timer: NodeJS.Timeout | null = null
  // What is awaited keeps the process running, and not its deadline.
  const arm = (milliseconds: number) => {
    timer = setTimeout(expireDue, milliseconds).unref()
  }
  const expireDue = () => {
    timer = null
    for (const work of waiting) {
      const left = work.until - performance.now()
      if (left > 0) return arm(left)
      waiting.delete(work)
      work.expire()
    }
  }
  return (start, cancel) =>
    new Promise((resolve, reject) => {
      let cancelStarted = () => {}
      let leave = () => false
      const work: Waiting = {
        until: performance.now() + deadlineSeconds * 1000,
        expire: () => {
          reject(new DatabaseTimeoutError(`The database has not responded for ${deadlineSeconds} s`))
          if (!leave()) cancelStarted()
        },
      }
      const fail = (error: unknown) => {
        waiting.delete(work)
        reject(error)
      }
      waiting.add(work)
      if (timer === null) arm(deadlineSeconds * 1000)
      leave = room.enter(() => {
        const started = start()
        cancelStarted = () => cancel(started)
        started.then((result) => {
          waiting.delete(work)
          resolve(result)
        }, fail)
        return started
      }, fail)
    })
}

// For a client whose queue is its driver's: it starts all at once, up to a bound.
function createBoundedEntry(): Pick<WaitingRoom, 'enter'> {
  let running = 0
  return {
    enter: (start, refuse) => {
      if (running >= MAX_WAITING) {
        refuse(new DatabaseTimeoutError(`More than ${MAX_WAITING} queries wait for the database`))
        return () => true
      }
      running += 1
      const end = () => {
        running -= 1
      }
      start().then(end, end)
      return () => false
    },
  }
}

// A query starts when it is awaited; before that, Drizzle may call `values`.
function boundQuery(create: () => Query, bound: Bound): Query {
  const send = () => bound(create, (query) => cancelQuietly(query as Query))
  const then = (onFulfilled?: (rows: unknown) => unknown, onRejected?: (error: unknown) => unknown) =>
    runAgainIfRolledBack<unknown>(send).then(onFulfilled, onRejected)
  const query = {
    then,
    catch: (onRejected: (error: unknown) => unknown) => then(undefined, onRejected),
    values: () => boundQuery(() => create().values() as unknown as Query, bound),
  }
  return query as unknown as Query
}

// The driver opens a connection to cancel a query and ignores the promise. When the database is
// unreachable, the unhandled rejection would end the process.
function cancelQuietly(query: Query): void {
  const cancel: unknown = Reflect.get(query, 'canceller')
  if (typeof cancel === 'function')
    Reflect.set(query, 'canceller', (cancelled: Query) => Promise.resolve(cancel(cancelled)).catch(() => {}))
  query.cancel()
}
