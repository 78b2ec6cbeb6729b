// Reads events in the order of their positions.
import { and, asc, desc, eq, exists, gt, inArray, isNotNull, lt, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { isRowId } from '../db/row-id.ts'
import { eventHorizons, eventPositions, events, eventTypes, OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type EventType, isAboutAccount } from './events.ts'

type EventRow = typeof events.$inferSelect

/** An event as its readers see it. */
export type Event = Omit<EventRow, 'userId' | 'subjectUserId'> & {
  /** The user that the event is about; null for an event of the operator. */
  userId: string | null
}

/**
 * A reader of events. A user reads their own; the operator reads the copies of account events of
 * users who show their accounts.
 */
export type EventReader = { kind: 'USER'; userId: string } | { kind: 'OPERATOR' }

/** A filter on type and account; null means all. */
export type EventFilter = { types: readonly EventType[] | null; accountId: string | null }

/**
 * A keyset page: up to `limit` events between two positions, both exclusive; `backward` reads it
 * from the newest.
 */
export type EventPage = { after: number | null; before: number | null; limit: number; backward: boolean }

const aboutAccounts = eventTypes.filter(isAboutAccount)

/**
 * Up to `limit` events between two positions, oldest first; newest first when `backward`.
 * @throws AppError CURSOR_EXPIRED when events after `after` have been deleted.
 */
export async function listEvents(
  deps: Deps,
  reader: EventReader,
  filter: EventFilter,
  page: EventPage,
): Promise<Event[]> {
  const found = await readEvents(deps, reader, filter, page)
  // Checked after the read, so that a sweep in between is noticed.
  if (page.after !== null) await assertNoGap(deps, reader, filter, page.after)
  return found
}

/**
 * Like `listEvents`, without the check for deleted events: for a reader that has followed since
 * `after`.
 */
export async function readEvents(
  deps: Deps,
  reader: EventReader,
  { types, accountId }: EventFilter,
  page: EventPage,
): Promise<Event[]> {
  if (accountId !== null && !isRowId(accountId)) return []
  const order = page.backward ? desc : asc
  const found = await deps.db
    .select()
    .from(events)
    .where(
      and(
        isReadableBy(reader),
        types === null ? undefined : inArray(events.type, [...types]),
        accountId === null ? undefined : eq(events.accountId, accountId),
        gt(events.position, page.after ?? 0),
        page.before === null ? undefined : lt(events.position, page.before),
      ),
    )
    .orderBy(order(events.position))
    .limit(page.limit)
  return found.map(toEvent)
}

/** Events that the reader may see, by id. The ids are those of rows. */
export async function listEventsByIds(deps: Deps, reader: EventReader, ids: readonly string[]): Promise<Event[]> {
  const found = await deps.db
    .select()
    .from(events)
    .where(and(isReadableBy(reader), inArray(events.id, [...ids])))
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

/** The user under whose id the events of a reader are stored. */
export function userIdOf(reader: EventReader): string {
  return reader.kind === 'USER' ? reader.userId : OPERATOR_ID
}

/** An event from its row. */
export function toEvent({ userId, subjectUserId, ...event }: EventRow): Event {
  return { ...event, userId: subjectUserId ?? (userId === OPERATOR_ID ? null : userId) }
}

// The operator's own events are for webhooks alone.
function isReadableBy(reader: EventReader): SQL | undefined {
  const isOwn = eq(events.userId, userIdOf(reader))
  return reader.kind === 'USER' ? isOwn : and(isOwn, isNotNull(events.subjectUserId))
}

async function assertNoGap(deps: Deps, reader: EventReader, { types }: EventFilter, after: number): Promise<void> {
  const readable = reader.kind === 'USER' ? eventTypes : aboutAccounts
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
  // After a restore from a backup the position is behind its readers, and is assigned again.
  const last = deps.db
    .select({ position: eventPositions.position })
    .from(eventPositions)
    .where(eq(eventPositions.userId, userIdOf(reader)))
  const [found] = await queryRows(deps.db, sql`select ${isSwept} or ${after}::bigint > coalesce((${last}), 0) as gap`)
  if (found?.gap !== false) throw new AppError('CURSOR_EXPIRED', { field: ['after'] })
}
