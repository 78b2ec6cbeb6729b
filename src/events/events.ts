// The transactional outbox: one append-only table of events, written in the transaction of the
// change itself. The audit log, subscriptions and webhooks all read it, in commit order.

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
import { runBatches } from '../db/batches.ts'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { eventHorizons, events, eventTypes, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'

/** A type of event, as rows and webhooks name it. The SDL's enum has the same names in capitals. */
export type EventType = (typeof eventTypes)[number]

/** An event that has its position, so that it can be read. */
export type Event = typeof events.$inferSelect & { position: number }

/** The data of an event that is recorded. Absent ids are stored as null. */
export type NewEvent = {
  type: EventType
  /** The user that the event is about; null for an event of the operator. */
  userId: string | null
  accountId?: string
  tweetId?: string
  apiTokenId?: string
  webhookEndpointId?: string
  /** The reason as a code. */
  reason?: string | null
}

/**
 * A reader of events. A user reads their own; the operator reads account events of users who show
 * their accounts to integrators.
 */
export type EventReader = { kind: 'USER'; userId: string } | { kind: 'OPERATOR' }

/** A filter on type and account; null means all. */
export type EventFilter = { types: readonly EventType[] | null; accountId: string | null }

/**
 * A keyset page: up to `limit` events between two positions, both exclusive; `backward` reads it
 * from the newest.
 */
export type EventPage = { after: number | null; before: number | null; limit: number; backward: boolean }

/** The retention of events. */
export const EVENTS_KEPT_SECONDS = 90 * 86_400

// PostgreSQL accepts at most 65,535 parameters in a statement.
const RECORD_BATCH = 1_000
const SWEEP_BATCH = 1_000
const aboutAccounts = eventTypes.filter((type) => type.startsWith('account.'))

/**
 * Records events. Call it in the transaction that makes the change, so that the event exists
 * exactly if the change does. A trigger assigns the position when that transaction commits.
 */
export async function recordEvent(deps: Pick<Deps, 'db' | 'clock'>, ...happened: NewEvent[]): Promise<void> {
  for (let first = 0; first < happened.length; first += RECORD_BATCH) {
    const batch = happened.slice(first, first + RECORD_BATCH)
    await deps.db.insert(events).values(batch.map((event) => ({ ...event, occurredAt: deps.clock.sqlNow() })))
  }
}

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

/** Events that the reader may see, by id. The ids are those of rows. */
export async function listEventsByIds(deps: Deps, reader: EventReader, ids: readonly string[]): Promise<Event[]> {
  const found = await deps.db
    .select()
    .from(events)
    .where(and(isReadableBy(deps, reader), inArray(events.id, [...ids])))
  return found.map((event) => ({ ...event, position: event.position ?? 0 }))
}

/** The position of the newest event, including deleted ones. New events get higher positions. */
export async function getLastPosition(deps: Deps): Promise<number> {
  const kept = deps.db.select({ position: max(events.position) }).from(events)
  const deleted = deps.db.select({ position: max(eventHorizons.position) }).from(eventHorizons)
  const [last] = await queryRows(deps.db, sql`select greatest((${kept}), (${deleted}), 0)::text as position`)
  return Number(last?.position ?? 0)
}

/**
 * Deletes events beyond the retention and stores the highest deleted position of each user and
 * type.
 */
export async function sweepEvents(deps: Deps): Promise<void> {
  await runBatches(SWEEP_BATCH, () => sweepBatch(deps))
}

function sweepBatch(deps: Deps): Promise<number> {
  return transaction(deps, async (deps) => {
    // Ordered by position, which is indexed, so that the scan stops at the first events that are
    // kept.
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

/** The SQL condition that `reader` may read a row of `events`. */
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
  // Visible now and unchanged since the event: so it was visible when the event occurred.
  // Integrators never see events of a time in which the accounts were hidden.
  return and(inArray(events.type, aboutAccounts), isShown(deps, events.userId), notExists(decidedSince))
}

async function assertNoGap(deps: Deps, reader: EventReader, { types }: EventFilter, after: number): Promise<void> {
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
  // After a restore from a backup the sequence is behind its readers, and assigns their positions
  // again.
  const isAhead = sql`${after} > (select last_value from events_positions)`
  const [found] = await queryRows(deps.db, sql`select ${isSwept} or ${isAhead} as gap`)
  if (found?.gap !== false) throw new AppError('CURSOR_EXPIRED', { field: ['after'] })
}

function isShown(deps: Pick<Deps, 'db'>, userId: PgColumn): SQL {
  return exists(
    deps.db
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.id, userId), eq(users.linkVisibility, 'INTEGRATORS'))),
  )
}
