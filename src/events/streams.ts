// Events to whoever keeps a connection open. A stream holds none: it reads the next ones from the table when its client takes them, so
// that a slow client costs nothing and one that comes back goes on where it was. NOTIFY only says when to look.
import { isDatabaseOutage } from '../db/outage.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventStream } from '../process/event-streams.ts'
import { type Event, type EventFilter, type EventReader, getLastPosition, listEvents, readEvents } from './events.ts'

/** The channel on which `events_placed` says whose events there are. */
export const EVENTS_CHANNEL = 'xconnect_events'

const PAGE = 50
const OUTAGE_PAUSE_SECONDS = 1

/** Who follows what. */
export type Following = {
  reader: EventReader
  /** By whom the stream is counted. */
  owner: string
  filter: EventFilter
  /** Resumes after this position; null for what happens from now on. */
  after: number | null
  /** Whether whoever opened the stream may still look. */
  isAllowed(): Promise<boolean>
}

/**
 * Opens a stream: what has happened since `after`, then what happens, each event once and in order.
 * It ends with STREAM_ENDED after a while and when the process is to end, and with UNAUTHENTICATED
 * when its owner may look no more.
 * @throws AppError TOO_MANY_STREAMS, EVENTS_MISSED
 */
export async function followEvents(deps: Deps, following: Following): Promise<AsyncIterableIterator<Event>> {
  const { reader, owner, filter, after } = following
  const stream = deps.eventStreams.open(owner, reader.kind === 'USER' ? reader.userId : null)
  try {
    // A cursor that cannot be resumed from is refused while there is still an answer to refuse it in.
    if (after !== null) await listEvents(deps, reader, filter, { after, before: null, limit: 1, inverted: false })
    let hasLeft = false
    const events = readOn(deps, stream, following, after ?? (await getLastPosition(deps)), () => hasLeft)
    const iterator: AsyncIterableIterator<Event> = {
      next: () => events.next(),
      // The client has hung up. What waits inside is woken first: it would keep the stream's place until then.
      return: () => {
        hasLeft = true
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

async function* readOn(
  deps: Deps,
  stream: EventStream,
  { reader, filter, isAllowed }: Following,
  start: number,
  hasLeft: () => boolean,
): AsyncGenerator<Event, undefined> {
  const { streamRecheckSeconds } = deps.timing
  let position = start
  try {
    while (!stream.isOver()) {
      const checkedAt = performance.now()
      const page = await throughOutages(deps, stream, async () => {
        const read = await readEvents(deps, reader, filter, {
          after: position,
          before: null,
          limit: PAGE,
          inverted: false,
        })
        // After reading: what was committed with the end of the session, or later, is not told.
        if (!(await isAllowed())) throw new AppError('UNAUTHENTICATED', { detail: ENDED })
        return read
      })
      for (const event of page) {
        // A client may take its time between two: what was read for it then is read, and allowed, anew.
        if (stream.isOver() || performance.now() - checkedAt > streamRecheckSeconds * 1000) break
        yield event
        position = event.position
      }
      if (page.length === 0) await stream.wait(streamRecheckSeconds)
    }
    // To GraphQL clients a stream that only completes has told everything: none of them comes back.
    if (!hasLeft()) throw new AppError('STREAM_ENDED')
  } finally {
    stream.end()
  }
}

const ENDED = 'The session or API token of this stream has ended. Sign in again, or use another token.'

// Nothing can be read and nobody can be asked while the database is away: the stream stays, and goes on where it was.
async function throughOutages(deps: Deps, stream: EventStream, read: () => Promise<Event[]>): Promise<Event[]> {
  try {
    return await read()
  } catch (error) {
    if (!isDatabaseOutage(error)) throw error
    deps.log.debug({ error }, 'A stream waits for the database')
    await stream.wait(OUTAGE_PAUSE_SECONDS)
    return []
  }
}
