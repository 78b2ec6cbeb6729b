// Writes the events of one user: their positions, rows and webhook deliveries, by one statement, so
// that the user's counter is locked for as short as possible.
import { randomUUID } from 'node:crypto'
import { eq, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import type { NewEvent } from '../db/recorded-events.ts'
import { eventPositions, events } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { completeDeliveries, deliveryExpressions, type WrittenDeliveries } from './deliveries.ts'

/** An event before it has a position. The operator's copy has the id and time of its original. */
export type UnplacedEvent = Omit<NewEvent, 'userId'> & {
  id: string
  subjectUserId?: string
  /** As PostgreSQL formats it; null for the time of the statement. */
  occurredAt: string | null
}

/** Gives an event its id. */
export function unplaced({ userId: _, ...event }: NewEvent): UnplacedEvent {
  return { ...event, id: randomUUID(), occurredAt: null }
}

/**
 * Writes events of a user at the next positions, in this order, with a delivery of each to each
 * enabled endpoint of the user that receives its type. From here to the commit the user's counter is
 * locked.
 * @returns the time of the statement, as PostgreSQL formats it.
 */
export async function writeEvents(
  deps: Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'jobs' | 'afterCommit'>>,
  userId: string,
  happened: readonly UnplacedEvent[],
): Promise<string> {
  const { db, clock } = deps
  const expressions = {
    // Before the counter, as by the deletion of a user, whose cascade would otherwise deadlock.
    owner: lockedUser(db, userId).getSQL(),
    ...eventExpressions(deps, userId, happened, sql`(select count(*) from owner) as locked`),
  }
  const named = Object.entries(expressions).map(([name, query]) => sql`${sql.raw(name)} as (${query})`)
  const [row] = await queryRows(
    db,
    sql`with ${sql.join(named, sql`, `)}
      select moment.now::text as now, recorded.has_turn, recorded.is_stale
      from (select ${clock.sqlNow()} as now) as moment left join recorded on true`,
  )
  const written = { hasTurn: row?.has_turn === true, isStale: row?.is_stale === true }
  await completeDeliveries(deps, userId, happened, written)
  return String(row?.now)
}

/**
 * The parts of a statement that write events of one user, in their order. Only the last one,
 * `recorded`, is read: it has one row, for `completeDeliveries`.
 * @param source what has to be there first, as a FROM clause. Without a row no event is written. It
 *   has to have locked the user before.
 */
export function eventParts(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  happened: readonly UnplacedEvent[],
  source: SQL,
) {
  const { recorded, ...expressions } = eventExpressions(deps, userId, happened, source)
  const others = Object.entries(expressions).map(([name, query]) => deps.db.$with(name, {}).as(query))
  const fields = {
    hasTurn: sql<WrittenDeliveries['hasTurn']>`has_turn`.as('has_turn'),
    isStale: sql<WrittenDeliveries['isStale']>`is_stale`.as('is_stale'),
  }
  const last = deps.db.$with('recorded', fields).as(recorded)
  return { all: [...others, last], recorded: last }
}

function eventExpressions(
  { clock }: Pick<Deps, 'clock'>,
  userId: string,
  happened: readonly UnplacedEvent[],
  source: SQL,
) {
  const count = sql`${happened.length}::bigint`
  const rows = JSON.stringify(happened.map((event, index) => ({ place: index + 1, ...toRow(event) })))
  return {
    counter: sql`
        insert into ${eventPositions} as known (user_id, position)
        select ${userId}::uuid, ${count} from ${source}
        on conflict (user_id) do update set position = known.position + excluded.position
        returning position, endpoints_version`,
    written: sql`
        insert into ${events} (user_id, id, position, type, subject_user_id, account_id, tweet_id, api_token_id,
          webhook_endpoint_id, reason, occurred_at)
        select ${userId}::uuid, e.id, counter.position - ${count} + e.place, e.type, e.subject_user_id, e.account_id,
          e.tweet_id, e.api_token_id, e.webhook_endpoint_id, e.reason, coalesce(e.occurred_at, ${clock.sqlNow()})
        from counter, jsonb_to_recordset(${rows}::text::jsonb) as e (place bigint, id uuid, type text,
          subject_user_id uuid, account_id uuid, tweet_id uuid, api_token_id uuid, webhook_endpoint_id uuid,
          reason text, occurred_at timestamptz)
        returning id, position, type, webhook_endpoint_id, occurred_at`,
    // The endpoints have changed since this statement began, if the counter, which is read as it is
    // now, has another version than in the statement's snapshot.
    stale: sql`
        select counter.endpoints_version <> coalesce(
          (select endpoints_version from ${eventPositions} where ${eq(eventPositions.userId, userId)}), 0) as is_stale
        from counter`,
    ...deliveryExpressions({ clock }, userId, sql`not (select is_stale from stale)`),
    recorded: sql`select exists (select from turn) as has_turn, is_stale from stale`,
  }
}

function toRow(event: UnplacedEvent): Record<string, unknown> {
  return {
    id: event.id,
    type: event.type,
    subject_user_id: event.subjectUserId,
    account_id: event.accountId,
    tweet_id: event.tweetId,
    api_token_id: event.apiTokenId,
    webhook_endpoint_id: event.webhookEndpointId,
    reason: event.reason,
    occurred_at: event.occurredAt,
  }
}
