// Writes the events of one user: their positions, rows and webhook deliveries, by one statement, so
// that the user's counter is locked for as short as possible.
import { randomUUID } from 'node:crypto'
import { and, eq, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import type { NewEvent } from '../db/recorded-events.ts'
import { eventPositions, events, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { enqueueDelivery } from './deliveries.ts'

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
 * enabled endpoint of the user that receives its type, and queues the jobs of these. From here to
 * the commit the user's counter is locked.
 * @returns the time of the statement, as PostgreSQL formats it.
 */
export async function writeEvents(
  deps: Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'jobs'>>,
  userId: string,
  happened: readonly UnplacedEvent[],
): Promise<string> {
  const { db, clock, jobs } = deps
  const expressions = {
    // Before the counter, as by the deletion of a user, whose cascade would otherwise deadlock.
    owner: lockedUser(db, userId).getSQL(),
    ...eventExpressions(deps, userId, happened, sql`(select count(*) from owner) as locked`),
  }
  const named = Object.entries(expressions).map(([name, query]) => sql`${sql.raw(name)} as (${query})`)
  const written = await queryRows(
    db,
    sql`with ${sql.join(named, sql`, `)}
      select moment.now::text as now, delivered.id as delivery_id
      from (select ${clock.sqlNow()} as now) as moment left join delivered on true`,
  )
  for (const { delivery_id: id } of written)
    if (jobs !== undefined && id !== null) await enqueueDelivery({ db, jobs }, { userId, id: String(id) })
  return String(written[0]?.now)
}

/**
 * The parts of a statement that write events of one user, in their order. Only the last one,
 * `delivered`, is read: it has the ids of the webhook deliveries, whose jobs are to be queued.
 * @param source what has to be there first, as a FROM clause. Without a row no event is written. It
 *   has to have locked the user before.
 */
export function eventParts(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  happened: readonly UnplacedEvent[],
  source: SQL,
) {
  const expressions = eventExpressions(deps, userId, happened, source)
  const part = <Name extends keyof typeof expressions>(name: Name) =>
    deps.db.$with(name, { id: webhookDeliveries.id }).as(expressions[name])
  const delivered = part('delivered')
  return { all: [part('counter'), part('written'), part('endpoints'), delivered], delivered }
}

function eventExpressions(
  { clock }: Pick<Deps, 'clock'>,
  userId: string,
  happened: readonly UnplacedEvent[],
  source: SQL,
): { counter: SQL; written: SQL; endpoints: SQL; delivered: SQL } {
  const count = sql`${happened.length}::bigint`
  const rows = JSON.stringify(happened.map((event, index) => ({ place: index + 1, ...toRow(event) })))
  return {
    counter: sql`
        insert into ${eventPositions} as known (user_id, position)
        select ${userId}::uuid, ${count} from ${source}
        on conflict (user_id) do update set position = known.position + excluded.position
        returning position`,
    written: sql`
        insert into ${events} (user_id, id, position, type, subject_user_id, account_id, tweet_id, api_token_id,
          webhook_endpoint_id, reason, occurred_at)
        select ${userId}::uuid, e.id, counter.position - ${count} + e.place, e.type, e.subject_user_id, e.account_id,
          e.tweet_id, e.api_token_id, e.webhook_endpoint_id, e.reason, coalesce(e.occurred_at, ${clock.sqlNow()})
        from counter, jsonb_to_recordset(${rows}::text::jsonb) as e (place bigint, id uuid, type text,
          subject_user_id uuid, account_id uuid, tweet_id uuid, api_token_id uuid, webhook_endpoint_id uuid,
          reason text, occurred_at timestamptz)
        returning id, type, webhook_endpoint_id, occurred_at`,
    // Endpoints that are being deleted are waited for, because the foreign key would reject their
    // deliveries. They are locked after the user and the counter, whatever the plan of the join.
    endpoints: sql`
        select id, event_types from ${webhookEndpoints}
        where ${and(eq(webhookEndpoints.userId, userId), sql`status = 'ENABLED'`)}
          and (select count(*) from written) > 0 for key share`,
    delivered: sql`
        insert into ${webhookDeliveries} (user_id, id, endpoint_id, event_id, next_attempt_at, created_at)
        select ${userId}::uuid, gen_random_uuid(), endpoints.id, written.id, ${clock.sqlNow()}, written.occurred_at
        from written join endpoints on case written.type
          when 'webhook.test' then written.webhook_endpoint_id = endpoints.id
          else endpoints.event_types is null or written.type = any(endpoints.event_types) end
        returning id`,
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
