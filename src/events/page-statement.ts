// The statement that reads one page of events. What it reads is bounded, however long the history:
// few types are found by their index, and any other filter is applied to the next events in order.
// A page that has applied it to so many ends there, and its reader continues behind the last one.
import { and, asc, desc, eq, getTableColumns, gt, isNotNull, like, lt, not, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { fixedLimit, prepareForms } from '../db/prepared-query.ts'
import { eventPositions, events, eventTypes, OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { EventType } from './events.ts'
import { isNotHidden } from './operator-copies.ts'

/**
 * A reader of events. A user reads their own; the operator reads the copies of account events of
 * users who show their accounts and, if `seesActs`, the acts of the operator.
 */
export type EventReader = { kind: 'USER'; userId: string } | { kind: 'OPERATOR'; seesActs: boolean }

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
// Of the operator's events of one type, so that those of all types are no more than MAX_EXAMINED_EVENTS.
const MAX_EXAMINED_OF_TYPE = Math.floor(MAX_EXAMINED_EVENTS / MAX_TYPES_BY_INDEX)

/** The user under whose id the events of a reader are stored. */
export function userIdOf(reader: EventReader): string {
  return reader.kind === 'USER' ? reader.userId : OPERATOR_ID
}

/**
 * Returns the events of a page in its order, each with the position of the reader's newest event in
 * the same snapshot; without events that position alone. `place` counts the events to which the
 * filter was applied. The last of these is returned even if it does not match.
 */
export function readPageRows(
  deps: Pick<Deps, 'db' | 'clock'>,
  reader: EventReader,
  filter: EventFilter,
  page: EventPage,
) {
  const { types, accountId } = filter
  return readForm(deps, formOf(reader, filter, page), {
    userId: userIdOf(reader),
    after: page.after ?? 0,
    ...(page.before !== null && { before: page.before }),
    // Their names need no quotes.
    ...(types !== null && { types: `{${types.join(',')}}` }),
    ...(accountId !== null && { accountId }),
  })
}

/** Which events a reader sees of those that are stored under their user. */
type ReaderView = 'USER' | 'OPERATOR' | 'OPERATOR_WITH_ACTS'

/** Returns which events a reader sees. */
export function viewOf(reader: EventReader): ReaderView {
  if (reader.kind === 'USER') return 'USER'
  return reader.seesActs ? 'OPERATOR_WITH_ACTS' : 'OPERATOR'
}

/** What the text of the statement depends on. */
type PageForm = {
  view: ReaderView
  filterKind: 'NONE' | 'FEW_TYPES' | 'TYPES' | 'ACCOUNT' | 'TYPES_AND_ACCOUNT'
  hasEnd: boolean
  backward: boolean
  limit: number
}

function formOf(reader: EventReader, { types, accountId }: EventFilter, page: EventPage): PageForm {
  const ofTypes = types !== null && types.length <= MAX_TYPES_BY_INDEX ? 'FEW_TYPES' : 'TYPES'
  const ofAccount = types === null ? 'ACCOUNT' : 'TYPES_AND_ACCOUNT'
  const withoutAccount = types === null ? 'NONE' : ofTypes
  return {
    view: viewOf(reader),
    filterKind: accountId === null ? withoutAccount : ofAccount,
    hasEnd: page.before !== null,
    backward: page.backward,
    limit: page.limit,
  }
}

const readForm = prepareForms(
  (form: PageForm) => Object.values(form).join(),
  ({ db }, form) => {
    const last = db
      .select({ position: sql<number>`coalesce(max(${eventPositions.position}), 0)::float8`.as('last_position') })
      .from(eventPositions)
      .where(eq(eventPositions.userId, given('userId')))
      .as('last')
    const found = findRows(db, form)
    return db.select().from(last).leftJoin(found, sql`true`).orderBy(inOrder(form, found.position))
  },
)

type Db = Deps['db']

const given = sql.placeholder

function findRows(db: Db, form: PageForm) {
  if (form.filterKind !== 'FEW_TYPES') return examineInOrder(db, form)
  return form.view !== 'USER' ? examineByType(db, form) : findByType(db, form)
}

// Looks for each type in turn: the planner joins a list of types by sorting all their events.
function findByType(db: Db, form: PageForm) {
  const ofType = db
    .select()
    .from(events)
    .where(and(isBetween(form), eq(events.type, sql`wanted.type`), isReadable(form.view)))
    .orderBy(inOrder(form, events.position))
    .limit(fixedLimit(form.limit))
    .as('of_type')
  return db
    .select({
      ...ofType._.selectedFields,
      isMatch: sql<boolean>`true`.as('is_match'),
      place: sql<number>`0`.as('place'),
    })
    .from(sql`unnest(${givenTypes}) as wanted (type)`)
    .crossJoinLateral(ofType)
    .orderBy(inOrder(form, ofType.position))
    .limit(fixedLimit(form.limit))
    .as('found')
}

// The same for the operator, who may not read some of the events: hidden copies can be any number, so the
// next events of each type are examined, and the page ends with the last of all that were certainly next.
function examineByType(db: Db, form: PageForm) {
  const limit = Math.max(form.limit, MAX_EXAMINED_OF_TYPE)
  const ofType = db
    .select({
      ...getTableColumns(events),
      isMatch: sql<boolean>`coalesce(${isReadable(form.view)}, false)`.as('is_match'),
    })
    .from(events)
    .where(and(isBetween(form), eq(events.type, sql`wanted.type`)))
    .orderBy(inOrder(form, events.position))
    .limit(fixedLimit(limit))
    .as('of_type')
  const examined = db
    .select({
      ...ofType._.selectedFields,
      isMatch: ofType.isMatch,
      // That of the last one is the one that ends a page.
      place:
        sql<number>`(${sql.raw(String(MAX_EXAMINED_EVENTS - limit))} + row_number() over (order by ${inOrder(form, ofType.position)}))::int`.as(
          'place',
        ),
    })
    .from(sql`unnest(${givenTypes}) as wanted (type)`)
    .crossJoinLateral(ofType)
    .orderBy(inOrder(form, ofType.position))
    .limit(fixedLimit(limit))
    .as('examined')
  return db
    .select()
    .from(examined)
    .where(or(examined.isMatch, eq(examined.place, MAX_EXAMINED_EVENTS)))
    .orderBy(inOrder(form, examined.position))
    .limit(fixedLimit(form.limit))
    .as('found')
}

function examineInOrder(db: Db, form: PageForm) {
  const order = inOrder(form, events.position)
  const ofTypes = sql`${events.type} = any(${givenTypes})`
  const ofAccount = eq(events.accountId, given('accountId'))
  const filters = and(
    form.filterKind === 'TYPES' || form.filterKind === 'TYPES_AND_ACCOUNT' ? ofTypes : undefined,
    form.filterKind === 'ACCOUNT' || form.filterKind === 'TYPES_AND_ACCOUNT' ? ofAccount : undefined,
    isReadable(form.view),
  )
  const isMatch = filters === undefined ? sql<boolean>`true` : sql<boolean>`coalesce(${filters}, false)`
  const examined = db
    .select({
      ...getTableColumns(events),
      isMatch: isMatch.as('is_match'),
      place: sql<number>`(row_number() over (order by ${order}))::int`.as('place'),
    })
    .from(events)
    .where(isBetween(form))
    .orderBy(order)
    .limit(fixedLimit(MAX_EXAMINED_EVENTS))
    .as('examined')
  return db
    .select()
    .from(examined)
    .where(or(examined.isMatch, eq(examined.place, MAX_EXAMINED_EVENTS)))
    .orderBy(inOrder(form, examined.position))
    .limit(fixedLimit(form.limit))
    .as('found')
}

function isBetween({ hasEnd }: PageForm): SQL | undefined {
  return and(
    eq(events.userId, given('userId')),
    gt(events.position, given('after')),
    hasEnd ? lt(events.position, given('before')) : undefined,
  )
}

/** The operator's other events are for webhooks alone, and hidden copies for nobody. */
export function isReadable(view: ReaderView): SQL | undefined {
  if (view === 'USER') return undefined
  const isAct = like(events.type, 'operator.%')
  const isCopy = and(isNotNull(events.subjectUserId), isNotHidden())
  return view === 'OPERATOR_WITH_ACTS' ? or(isAct, isCopy) : and(isCopy, not(isAct))
}

function inOrder({ backward }: Pick<EventPage, 'backward'>, position: PgColumn | SQL.Aliased): SQL {
  return backward ? desc(position) : asc(position)
}

// One parameter, so that the text of the statement does not depend on the number of types.
const givenTypes = sql`${given('types')}::text::text[]`
