// Event streams (Server-Sent Events). A stream buffers nothing: it reads the next page from the
// table when its client is ready, so a slow client costs no memory and a client that reconnects
// resumes at its position. NOTIFY only wakes a stream; one recheck for all streams of the process
// wakes those whose notification was lost (auth/stream-recheck.ts).
import { setTimeout as sleep } from 'node:timers/promises'
import { keepCaller } from '../db/caller.ts'
import { isDatabaseOutage } from '../db/outage.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventStream, Followed } from '../process/event-streams.ts'
import { type EventFilter, type EventReader, userIdOf } from './page-statement.ts'
import { assertNoGap, type Event, type EventsRead, getLastPosition, readEvents } from './read.ts'

const PAGE = 50
const OUTAGE_PAUSE_SECONDS = 1
// Many times the time in which the unit that a page costs refills.
const SPENT_PAUSE_SECONDS = 1

/** The parameters of an event stream. */
export type StreamParameters = {
  reader: EventReader
  /** The user or operator token that the stream is counted against. */
  owner: string
  filter: EventFilter
  /** Resumes after this position; null starts with the events from now on. */
  after: number | null
  /** The session or API token that opened the stream. */
  credential: Followed['credential']
  /** True while the session or API token is valid. */
  isAllowed(): Promise<boolean>
  /**
   * Called before each page but the first that a stream reads to catch up.
   * @throws AppError RATE_LIMITED: the stream waits, and calls it again.
   */
  payForPage(): Promise<void>
}

/**
 * Opens a stream of the events after `after` and of all later ones, each once and in order. It ends
 * with STREAM_ENDED after a while and at a shutdown, and with UNAUTHENTICATED when its session or
 * API token has ended.
 * @throws AppError TOO_MANY_STREAMS, CURSOR_EXPIRED
 */
export async function followEvents(deps: Deps, parameters: StreamParameters): Promise<AsyncIterableIterator<Event>> {
  const { reader, owner, filter, after, credential } = parameters
  const stream = deps.eventStreams.open(owner, { userId: userIdOf(reader), credential })
  try {
    // Throws CURSOR_EXPIRED now, while the response can still carry the error.
    if (after !== null) await assertNoGap(deps, reader, filter, after)
    let hasDisconnected = false
    const last = await getLastPosition(deps, reader)
    stream.startAt(last)
    const events = readPages(deps, stream, parameters, after ?? last, () => hasDisconnected)
    const iterator: AsyncIterableIterator<Event> = {
      // The response reads the stream outside of the request.
      next: keepCaller(() => events.next()),
      // The client has disconnected. `end` wakes the generator, which would otherwise keep its
      // place until its next wait ends.
      return: () => {
        hasDisconnected = true
        stream.end()
        return events.return(undefined)
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  } catch (error) {
    stream.end()
    throw error
  }
}

async function* readPages(
  deps: Deps,
  stream: EventStream,
  { reader, filter, isAllowed, payForPage }: StreamParameters,
  start: number,
  hasDisconnected: () => boolean,
): AsyncGenerator<Event, undefined> {
  const { streamRecheckSeconds } = deps.timing
  let position = start
  let isBehind = false
  try {
    while (!stream.isOver()) {
      if (isBehind && !(await isPaid(deps, payForPage))) continue
      const checkedAt = performance.now()
      const page = await retryThroughOutages(deps, async () => {
        const read = await readEvents(deps, reader, filter, {
          after: position,
          before: null,
          limit: PAGE,
          backward: false,
        })
        // Checked after the read: events committed after the end of the session are not sent.
        if (!(await isAllowed())) throw new AppError('UNAUTHENTICATED', { detail: ENDED })
        return read
      })
      if (page === null) continue
      let isStale = false
      for (const event of page.events) {
        // A slow client gets no stale page: events are read and access is checked again.
        isStale = stream.isOver() || performance.now() - checkedAt > streamRecheckSeconds * 1000
        if (isStale) break
        yield event
        position = event.position
      }
      if (isStale) continue
      isBehind = page.events.length === PAGE || page.examinedTo !== null
      if (isBehind) position = page.examinedTo ?? position
      else {
        // What did not match is not read again.
        position = Math.max(position, page.lastPosition)
        await stream.wait()
      }
    }
    // An error, because GraphQL clients do not reconnect after a stream that just completes.
    if (!hasDisconnected()) throw new AppError('STREAM_ENDED')
  } finally {
    stream.end()
  }
}

const ENDED = 'The session or API token of this stream has ended. Sign in again, or use another token.'

// During a database outage the stream stays open and continues at its position afterwards. Returns
// null when the read has to be repeated.
async function retryThroughOutages(deps: Deps, read: () => Promise<EventsRead>): Promise<EventsRead | null> {
  try {
    return await read()
  } catch (error) {
    if (!isDatabaseOutage(error)) throw error
    deps.log.debug({ error }, 'An event stream is waiting for the database')
    await sleep(OUTAGE_PAUSE_SECONDS * 1000)
    return null
  }
}

// Returns false after a pause when the rate limit is used up, or the database is unavailable.
async function isPaid({ log }: Pick<Deps, 'log'>, payForPage: () => Promise<void>): Promise<boolean> {
  try {
    await payForPage()
    return true
  } catch (error) {
    const isSpent = error instanceof AppError && error.code === 'RATE_LIMITED'
    if (!isSpent && !isDatabaseOutage(error)) throw error
    if (!isSpent) log.debug({ error }, 'An event stream is waiting for the database')
    await sleep(SPENT_PAUSE_SECONDS * 1000)
    return false
  }
}
