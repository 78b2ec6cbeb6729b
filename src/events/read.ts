// Reads events in the order of their positions.
import { and, eq, exists, gt, inArray, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { POSITIONS_PER_GENERATION } from '../db/generations.ts'
import { isRowId } from '../db/row-id.ts'
import { eventHorizons, eventPositions, events, eventTypes, OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type EventType, isAboutAccount, isOperatorAct } from './events.ts'
import {
  type EventFilter,
  type EventPage,
  type EventReader,
  isReadable,
  MAX_EXAMINED_EVENTS,
  readPageRows,
  userIdOf,
  viewOf,
} from './page-statement.ts'

type EventRow = typeof events.$inferSelect

/** An event as its readers see it. */
export type Event = Omit<EventRow, 'userId' | 'subjectUserId'> & {
  /** The user that the event is about; null for an event of the operator. */
  userId: string | null
}

/** What a page has of the events that it was asked for. */
export type EventsRead = {
  events: Event[]
  /**
   * The position of the last event that the filter was applied to, when the page ends there: there
   * may be matching events behind it. Null when the page is complete.
   */
  examinedTo: number | null
  /** The position of the reader's newest event in the same snapshot, including deleted ones. */
  lastPosition: number
}

/**
 * Reads up to `limit` events between two positions, oldest first; newest first when `backward`.
 * @throws AppError CURSOR_EXPIRED when events after `after` have been deleted.
 */
export async function listEvents(
  deps: Deps,
  reader: EventReader,
  filter: EventFilter,
  page: EventPage,
): Promise<EventsRead> {
  const read = await readEvents(deps, reader, filter, page)
  // Checked after the read, so that a sweep in between is noticed.
  if (page.after !== null) await assertNoGap(deps, reader, filter, page.after)
  return read
}

/**
 * Like `listEvents`, without the check for deleted events: for a reader that has followed since
 * `after`.
 */
export async function readEvents(
  deps: Deps,
  reader: EventReader,
  filter: EventFilter,
  page: EventPage,
): Promise<EventsRead> {
  const isAny = filter.accountId === null || isRowId(filter.accountId)
  // Nothing matches an id that no account can have.
  const rows = await readPageRows(deps, reader, isAny ? filter : { types: [], accountId: null }, page)
  const found = rows.flatMap(({ found }) => found ?? [])
  const events = found.filter(({ isMatch }) => isMatch).map(({ isMatch: _, place: __, ...row }) => toEvent(row))
  const lastExamined = found.at(-1)
  return {
    events,
    examinedTo:
      events.length < page.limit && lastExamined?.place === MAX_EXAMINED_EVENTS ? lastExamined.position : null,
    lastPosition: rows[0]?.last.position ?? 0,
  }
}

/** Events that the reader may see, by id. The ids are those of rows. */
export async function listEventsByIds(deps: Deps, reader: EventReader, ids: readonly string[]): Promise<Event[]> {
  const found = await deps.db
    .select()
    .from(events)
    .where(and(eq(events.userId, userIdOf(reader)), isReadable(viewOf(reader)), inArray(events.id, [...ids])))
  return found.map(toEvent)
}

/** The position of the reader's newest event, including deleted ones. New events get higher positions. */
export async function getLastPosition(deps: Deps, reader: EventReader): Promise<number> {
  const [last] = await deps.db
    .select()
    .from(eventPositions)
    .where(eq(eventPositions.userId, userIdOf(reader)))
  return last?.position ?? 0
}

/** An event from its row. */
export function toEvent({ userId, subjectUserId, ...event }: EventRow): Event {
  return { ...event, userId: subjectUserId ?? (userId === OPERATOR_ID ? null : userId) }
}

const LOST_EVENTS =
  'The operator has restored the database from a backup, which lacks the events up to this cursor. Read connectedAccounts and tweets for the present state, then go on without a cursor.'

/**
 * @throws AppError CURSOR_EXPIRED when events of the filter after `after` have been deleted, or
 * `after` is of an event that a restored database has lost.
 */
export async function assertNoGap(
  deps: Deps,
  reader: EventReader,
  { types }: EventFilter,
  after: number,
): Promise<void> {
  const readable = eventTypes.filter((type) => isReadableType(reader, type))
  const isSwept = exists(
    deps.db
      .select({ position: eventHorizons.position })
      .from(eventHorizons)
      .where(
        and(
          eq(eventHorizons.userId, userIdOf(reader)),
          gt(eventHorizons.position, after),
          inArray(
            eventHorizons.type,
            readable.filter((type) => types?.includes(type) ?? true),
          ),
        ),
      ),
  )
  // A position behind the reader's newest, or between the last before a restore and the first after
  // it, is of an event that the restored database has lost.
  const [found] = await queryRows(
    deps.db,
    sql`select ${isSwept} as is_swept, not coalesce((select ${after}::bigint <= position
        and not (restored_position is not null and ${after}::bigint > restored_position
          and ${after}::bigint < position - position % ${POSITIONS_PER_GENERATION}::bigint)
      from ${eventPositions} where ${eq(eventPositions.userId, userIdOf(reader))}), ${after}::bigint = 0) as is_lost`,
  )
  if (found?.is_lost === true) throw new AppError('CURSOR_EXPIRED', { field: ['after'], detail: LOST_EVENTS })
  if (found?.is_swept !== false) throw new AppError('CURSOR_EXPIRED', { field: ['after'] })
}

function isReadableType(reader: EventReader, type: EventType): boolean {
  return reader.kind === 'USER' || isAboutAccount(type) || (reader.seesActs && isOperatorAct(type))
}
