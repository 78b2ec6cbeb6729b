// Writes the events of one user: their positions and rows by one statement, so that the user's counter
// is locked for as short as possible. Their webhook deliveries are a second one, which only users need
// who have ever had an endpoint.
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { prepareQuery } from '../db/prepared-query.ts'
import { eventPositions, events } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { writeDeliveries } from './deliveries.ts'
import type { UnplacedEvent } from './unplaced-event.ts'

/** The values of the placeholders in `eventParts`. */
export type EventValues = { userId: string; eventCount: number; eventRows: string }

/**
 * Writes events of a user at the next positions, in this order, with a delivery of each to each
 * enabled endpoint of the user that receives its type. From here to the commit the user's counter is
 * locked. Call it in a transaction.
 * @returns the time of the statement, as PostgreSQL formats it.
 */
export async function writeEvents(
  deps: Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'jobs' | 'afterCommit'>>,
  userId: string,
  happened: readonly UnplacedEvent[],
): Promise<string> {
  const [written] = await insertEvents(deps, eventValues(userId, happened))
  if (written === undefined) throw new Error('Bug: events have got no position')
  await writeDeliveries(deps, userId, happened, written)
  return written.now
}

const insertEvents = prepareQuery(({ db, clock }) => {
  // Before the counter, as by the deletion of a user, whose cascade would otherwise deadlock.
  const owner = db.$with('owner').as(lockedUser(db, sql.placeholder('userId')))
  const { counter, all } = eventParts({ db, clock }, eventPlaceholders, sql`(select count(*) from ${owner}) as locked`)
  const now = sql<string>`${clock.sqlNow()}::text`
  const { position, endpointsVersion } = counter
  return db
    .with(owner, ...all)
    .select({ now, position, endpointsVersion })
    .from(counter)
})

/** The placeholders of a prepared statement with `eventParts`. */
export const eventPlaceholders = {
  userId: sql.placeholder('userId'),
  eventCount: sql.placeholder('eventCount'),
  eventRows: sql.placeholder('eventRows'),
}

/** The values of events, for the statement that writes them. */
export function eventValues(userId: string, happened: readonly UnplacedEvent[]): EventValues {
  // `place` is relative to the last one.
  const rows = happened.map((event, index) => ({ place: index + 1 - happened.length, ...toRow(event) }))
  return { userId, eventCount: happened.length, eventRows: JSON.stringify(rows) }
}

/**
 * The parts of a statement that write events of one user, in their order. Only `counter` is read: it
 * has one row, for `writeDeliveries`, or none if no event was written.
 * @param values of `eventValues`, or `eventPlaceholders`.
 * @param source what has to be there first, as a FROM clause. Without a row no event is written. It
 *   has to have locked the user before.
 */
export function eventParts(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  { userId, eventCount, eventRows }: { [Name in keyof EventValues]: EventValues[Name] | SQLWrapper },
  source: SQL,
) {
  const fields = {
    position: sql<number>`position::float8`.as('position'),
    endpointsVersion: sql<number>`endpoints_version`.as('endpoints_version'),
  }
  const counter = db.$with('counter', fields).as(sql`
    insert into ${eventPositions} as known (user_id, position)
    select ${userId}::uuid, ${eventCount}::bigint from ${source}
    on conflict (user_id) do update set position = known.position + excluded.position
    returning position, endpoints_version`)
  const written = db.$with('written', {}).as(sql`
    insert into ${events} (user_id, id, position, type, subject_user_id, account_id, tweet_id, api_token_id,
      webhook_endpoint_id, reason, actor, occurred_at)
    select ${userId}::uuid, e.id, counter.position + e.place, e.type, e.subject_user_id, e.account_id,
      e.tweet_id, e.api_token_id, e.webhook_endpoint_id, e.reason, e.actor, coalesce(e.occurred_at, ${clock.sqlNow()})
    from counter, jsonb_to_recordset(${eventRows}::text::jsonb) as e (place bigint, id uuid, type text,
      subject_user_id uuid, account_id uuid, tweet_id uuid, api_token_id uuid, webhook_endpoint_id uuid,
      reason text, actor text, occurred_at timestamptz)`)
  return { all: [counter, written], counter }
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
    actor: event.actor,
    occurred_at: event.occurredAt,
  }
}
