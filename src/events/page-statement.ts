// The statement that reads one page of events. What it reads is bounded, however long the history:
// few types are found by their index, and any other filter is applied to the next events in order.
// A page that has applied it to so many ends there, and its reader continues behind the last one.
import { and, asc, desc, eq, getTableColumns, gt, isNotNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { eventPositions, events, eventTypes, OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { EventType } from './events.ts'
import { isNotHidden } from './operator-copies.ts'

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

/** The number of events to which one page applies its filter. */
export const MAX_EXAMINED_EVENTS = 1_000
// A page takes up to its limit of each type. More types are most of a history.
const MAX_TYPES_BY_INDEX = eventTypes.length / 2

/** The user under whose id the events of a reader are stored. */
export function userIdOf(reader: EventReader): string {
  return reader.kind === 'USER' ? reader.userId : OPERATOR_ID
}

/**
 * Returns the events of a page in its order, each with the position of the reader's newest event in
 * the same snapshot; without events that position alone. `place` counts the events to which the
 * filter was applied. The last of these is returned even if it does not match.
 */
export function readPageRows({ db }: Pick<Deps, 'db'>, reader: EventReader, filter: EventFilter, page: EventPage) {
  const last = db
    .select({ position: sql<number>`coalesce(max(${eventPositions.position}), 0)::float8`.as('last_position') })
    .from(eventPositions)
    .where(eq(eventPositions.userId, userIdOf(reader)))
    .as('last')
  const { types, accountId } = filter
  const isByType = types !== null && types.length <= MAX_TYPES_BY_INDEX && accountId === null
  const found = isByType ? findByType(db, reader, types, page) : examineInOrder(db, reader, filter, page)
  return db.select().from(last).leftJoin(found, sql`true`).orderBy(inOrder(page, found.position))
}

type Db = Deps['db']

// Looks for each type in turn: the planner joins a list of types by sorting all their events.
function findByType(db: Db, reader: EventReader, types: readonly EventType[], page: EventPage) {
  const ofType = db
    .select()
    .from(events)
    .where(and(isBetween(reader, page), eq(events.type, sql`wanted.type`), isReadable(reader)))
    .orderBy(inOrder(page, events.position))
    .limit(page.limit)
    .as('of_type')
  return db
    .select({
      ...ofType._.selectedFields,
      isMatch: sql<boolean>`true`.as('is_match'),
      place: sql<number>`0`.as('place'),
    })
    .from(sql`unnest(${arrayOf(types)}) as wanted (type)`)
    .crossJoinLateral(ofType)
    .orderBy(inOrder(page, ofType.position))
    .limit(page.limit)
    .as('found')
}

function examineInOrder(db: Db, reader: EventReader, { types, accountId }: EventFilter, page: EventPage) {
  const order = inOrder(page, events.position)
  const filters = and(
    types === null ? undefined : sql`${events.type} = any(${arrayOf(types)})`,
    accountId === null ? undefined : eq(events.accountId, accountId),
    isReadable(reader),
  )
  const isMatch = filters === undefined ? sql<boolean>`true` : sql<boolean>`coalesce(${filters}, false)`
  const examined = db
    .select({
      ...getTableColumns(events),
      isMatch: isMatch.as('is_match'),
      place: sql<number>`(row_number() over (order by ${order}))::int`.as('place'),
    })
    .from(events)
    .where(isBetween(reader, page))
    .orderBy(order)
    .limit(MAX_EXAMINED_EVENTS)
    .as('examined')
  return db
    .select()
    .from(examined)
    .where(or(examined.isMatch, eq(examined.place, MAX_EXAMINED_EVENTS)))
    .orderBy(inOrder(page, examined.position))
    .limit(page.limit)
    .as('found')
}

function isBetween(reader: EventReader, { after, before }: EventPage): SQL | undefined {
  return and(
    eq(events.userId, userIdOf(reader)),
    gt(events.position, after ?? 0),
    before === null ? undefined : lt(events.position, before),
  )
}

/** The operator's own events are for webhooks alone, and hidden copies for nobody. */
export function isReadable(reader: EventReader): SQL | undefined {
  return reader.kind === 'OPERATOR' ? and(isNotNull(events.subjectUserId), isNotHidden()) : undefined
}

function inOrder({ backward }: EventPage, position: PgColumn | SQL.Aliased): SQL {
  return backward ? desc(position) : asc(position)
}

// One parameter, so that the text of the statement does not depend on the number of types. Their
// names need no quotes.
function arrayOf(types: readonly EventType[]): SQL {
  return sql`${`{${types.join(',')}}`}::text::text[]`
}
