// Deadlines for queries. postgres.js fails fast when the server is down, but waits without limit
// for a frozen one, or for a connection of a pool whose connections are stuck. The number of
// waiting queries is limited too.

import type postgres from 'postgres'
import { DatabaseTimeoutError } from './outage.ts'
import { runAgainIfRolledBack } from './rolled-back.ts'
import type { Turn, WaitingRoom } from './waiting-room.ts'

// Above the statement_timeout of 5 s, whose error says more.
const DEADLINE_SECONDS = 8
// Of a client without a waiting room. More would wait longer than their clients do.
const MAX_WAITING = 200

/** The options of `unsafe` on a client with deadlines. */
export type QueryOptions = UnsafeArguments[2] & {
  /** As in the waiting room. */
  isShort?: boolean
}
type UnsafeArguments = Parameters<postgres.Sql['unsafe']>

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
  const unsafe = (text: string, parameters?: UnsafeArguments[1], options: QueryOptions = {}) => {
    const create = (turn: Turn | null): Query =>
      client.unsafe<postgres.Row[]>(text, parameters, turn === null ? options : Object.assign({ turn }, options))
    return boundQuery(create, bound, options.isShort)
  }
  return new Proxy(client, {
    get(target, property) {
      if (property === 'unsafe') return unsafe
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

type Bound = <T>(
  start: (turn: Turn | null) => PromiseLike<T>,
  cancel: (started: PromiseLike<T>) => void,
  isShort?: boolean,
) => Promise<T>
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
  return (start, cancel, isShort) =>
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
      const startBound = (turn: Turn | null) => {
        const started = start(turn)
        cancelStarted = () => cancel(started)
        started.then((result) => {
          waiting.delete(work)
          resolve(result)
        }, fail)
        return started
      }
      leave = room.enter(startBound, fail, isShort)
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
      start(null).then(end, end)
      return () => false
    },
  }
}

// A query starts when it is awaited; before that, Drizzle may call `values`.
function boundQuery(create: (turn: Turn | null) => Query, bound: Bound, isShort?: boolean): Query {
  const send = () => bound(create, (query) => cancelQuietly(query as Query), isShort)
  const then = (onFulfilled?: (rows: unknown) => unknown, onRejected?: (error: unknown) => unknown) =>
    runAgainIfRolledBack<unknown>(send).then(onFulfilled, onRejected)
  const query = {
    then,
    catch: (onRejected: (error: unknown) => unknown) => then(undefined, onRejected),
    values: () => boundQuery((turn) => create(turn).values() as unknown as Query, bound, isShort),
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
