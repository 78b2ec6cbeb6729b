// What happened to whom. One table, in which audit, subscriptions and webhooks read the same thing in the same order.
import {
  aliasedTable,
  and,
  asc,
  desc,
  eq,
  exists,
  gt,
  inArray,
  isNotNull,
  lt,
  max,
  notExists,
  type SQL,
  sql,
} from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { eventHorizons, events, eventTypes, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'

/** What can happen. The same name in the row and in a webhook; the SDL's enum spells it in capitals. */
export type EventType = (typeof eventTypes)[number]

/** Something that happened, as everybody may read it who may read it at all. */
export type Event = typeof events.$inferSelect & { position: number }

/** What there is to say of something that happened. What is left out it is not about. */
export type NewEvent = {
  type: EventType
  /** Whose event it is; null for one of the operator's own. */
  userId: string | null
  accountId?: string
  tweetId?: string
  apiTokenId?: string
  webhookEndpointId?: string
  /** Why, as a code. */
  reason?: string | null
}

/** Whose events somebody may read: a user their own, the operator those about the accounts that are shown to integrators. */
export type EventReader = { kind: 'USER'; userId: string } | { kind: 'OPERATOR' }

/** Which of them are asked for; null for all. */
export type EventFilter = { types: readonly EventType[] | null; accountId: string | null }

/** Which part of them: between two positions, from one end. */
export type EventPage = { after: number | null; before: number | null; limit: number; inverted: boolean }

/** How long events are kept. */
export const EVENTS_KEPT_SECONDS = 90 * 86_400

// PostgreSQL takes 65,535 parameters in a statement.
const RECORD_BATCH = 1_000
const SWEEP_BATCH = 1_000
const aboutAccounts = eventTypes.filter((type) => type.startsWith('account.'))

/**
 * Writes down what has just been changed. Call it inside the transaction that changes it, so that the event exists exactly if the
 * change does. Its place in the order is given when that transaction commits.
 */
export async function recordEvent(deps: Pick<Deps, 'db' | 'clock'>, ...happened: NewEvent[]): Promise<void> {
  for (let first = 0; first < happened.length; first += RECORD_BATCH) {
    const batch = happened.slice(first, first + RECORD_BATCH)
    await deps.db.insert(events).values(batch.map((event) => ({ ...event, occurredAt: deps.clock.sqlNow() })))
  }
}

/**
 * Up to `limit` events between two positions, oldest first; newest first when `inverted`.
 * @throws AppError EVENTS_MISSED when some that came after `after` are not kept any more.
 */
export async function listEvents(
  deps: Deps,
  reader: EventReader,
  filter: EventFilter,
  page: EventPage,
): Promise<Event[]> {
  const found = await readEvents(deps, reader, filter, page)
  // Only now: what was swept before they were read is known by then.
  if (page.after !== null) await refuseGap(deps, reader, filter, page.after)
  return found
}

/** As `listEvents`, for whoever has not been away since `after`. */
export async function readEvents(
  deps: Deps,
  reader: EventReader,
  { types, accountId }: EventFilter,
  page: EventPage,
): Promise<Event[]> {
  if (accountId !== null && !isRowId(accountId)) return []
  const order = page.inverted ? desc : asc
  const found = await deps.db
    .select()
    .from(events)
    .where(
      and(
        isReadableBy(deps, reader),
        types === null ? undefined : inArray(events.type, [...types]),
        accountId === null ? undefined : eq(events.accountId, accountId),
        gt(events.position, page.after ?? 0),
        page.before === null ? undefined : lt(events.position, page.before),
      ),
    )
    .orderBy(order(events.position))
    .limit(page.limit)
  return found.map((event) => ({ ...event, position: event.position ?? 0 }))
}

/** The position of the newest event, kept or deleted since: what is new comes after it. */
export async function getLastPosition(deps: Deps): Promise<number> {
  const kept = deps.db.select({ position: max(events.position) }).from(events)
  const deleted = deps.db.select({ position: max(eventHorizons.position) }).from(eventHorizons)
  const [last] = await queryRows(deps.db, sql`select greatest((${kept}), (${deleted}), 0)::text as position`)
  return Number(last?.position ?? 0)
}

/** Deletes events that are older than we keep them, and notes up to where. */
export async function sweepEvents(deps: Deps): Promise<void> {
  let swept: number
  do swept = await sweepBatch(deps)
  while (swept === SWEEP_BATCH)
}

function sweepBatch(deps: Deps): Promise<number> {
  return transaction(deps, async (deps) => {
    // By position, which has an index: the first that are still young enough end the search.
    const oldest = deps.db
      .select({ id: events.id, occurredAt: events.occurredAt })
      .from(events)
      .where(isNotNull(events.position))
      .orderBy(asc(events.position))
      .limit(SWEEP_BATCH)
      .as('oldest')
    const old = deps.db
      .select({ id: oldest.id })
      .from(oldest)
      .where(lt(oldest.occurredAt, sqlIn(deps.clock, -EVENTS_KEPT_SECONDS)))
    const swept = await deps.db
      .delete(events)
      .where(inArray(events.id, old))
      .returning({ userId: events.userId, type: events.type, position: events.position })
    const horizons = new Map<string, typeof eventHorizons.$inferInsert>()
    for (const { userId, type, position } of swept) {
      const known = horizons.get(`${userId} ${type}`)?.position ?? 0
      horizons.set(`${userId} ${type}`, { userId, type, position: Math.max(known, position ?? 0) })
    }
    if (horizons.size > 0) {
      await deps.db
        .insert(eventHorizons)
        .values([...horizons.values()])
        .onConflictDoUpdate({
          target: [eventHorizons.userId, eventHorizons.type],
          set: { position: sql`greatest(${eventHorizons.position}, excluded.position)` },
        })
    }
    return swept.length
  })
}

/** Whether a row of `events` may be read by somebody, for queries that join it with others. */
export function isReadableBy(deps: Pick<Deps, 'db'>, reader: EventReader): SQL | undefined {
  if (reader.kind === 'USER') return eq(events.userId, reader.userId)
  const decided = aliasedTable(events, 'decided')
  const decidedSince = deps.db
    .select({ id: decided.id })
    .from(decided)
    .where(
      and(
        eq(decided.userId, events.userId),
        gt(decided.position, events.position),
        eq(decided.type, 'link_visibility.changed'),
      ),
    )
  // Shown now, and no other decision since: so they were shown when it happened. What was before is not for integrators.
  return and(inArray(events.type, aboutAccounts), isShown(deps, events.userId), notExists(decidedSince))
}

async function refuseGap(deps: Deps, reader: EventReader, { types }: EventFilter, after: number): Promise<void> {
  const isSwept = exists(
    deps.db
      .select({ position: eventHorizons.position })
      .from(eventHorizons)
      .where(
        and(
          gt(eventHorizons.position, after),
          types === null ? undefined : inArray(eventHorizons.type, [...types]),
          reader.kind === 'USER'
            ? eq(eventHorizons.userId, reader.userId)
            : and(inArray(eventHorizons.type, aboutAccounts), isShown(deps, eventHorizons.userId)),
        ),
      ),
  )
  // A database that was restored from a back-up knows less than its readers do, and gives the same positions once more.
  const isAhead = sql`${after} > (select last_value from events_positions)`
  const [found] = await queryRows(deps.db, sql`select ${isSwept} or ${isAhead} as gap`)
  if (found?.gap !== false) throw new AppError('EVENTS_MISSED', { field: ['after'] })
}

function isShown(deps: Pick<Deps, 'db'>, userId: PgColumn): SQL {
  return exists(
    deps.db
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.id, userId), eq(users.linkVisibility, 'INTEGRATORS'))),
  )
}
