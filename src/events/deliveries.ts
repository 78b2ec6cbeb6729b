// The webhook deliveries of events. They are written with the events, by the same statement, so that
// no work is left over that a flood could hold up.
import { and, eq, inArray, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { eventPositions, events, OPERATOR_ID, webhookDeliveries, webhookEndpoints, webhookTurns } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'

/**
 * The maximum number of pending deliveries to an endpoint of a user. Further ones are dead at once, so
 * that a receiver that is down or slow for long costs no more. The operator has no limit.
 */
export const MAX_PENDING_DELIVERIES = 1_000

/** What a statement says of the deliveries that it has written. */
export type WrittenDeliveries = {
  /** True when one of them is to be sent. */
  hasTurn: boolean
  /** True when the endpoints have changed meanwhile, and no delivery was written. */
  isStale: boolean
}

type DeliveryDeps = Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'jobs' | 'afterCommit'>>

/**
 * Counts a change of the user's webhook endpoints that decides what is sent to them, in the
 * transaction that makes it. From here to the commit the user's counter is locked: an event is
 * written either before the change, or with a new look at the endpoints.
 */
export async function countEndpointChange({ db }: Pick<Deps, 'db'>, userId: string): Promise<void> {
  const { endpointsVersion } = eventPositions
  await db
    .insert(eventPositions)
    .values({ userId, position: 0, endpointsVersion: 1 })
    .onConflictDoUpdate({ target: eventPositions.userId, set: { endpointsVersion: sql`${endpointsVersion} + 1` } })
}

/**
 * Completes the deliveries of events that a statement has written: writes those that it could not,
 * because the endpoints had changed, and has all of them sent after the commit.
 */
export async function completeDeliveries(
  deps: DeliveryDeps,
  userId: string,
  happened: readonly { id: string }[],
  { hasTurn, isStale }: WrittenDeliveries,
): Promise<void> {
  if (isStale) await transaction(deps, (deps) => writeDeliveries(deps, userId, happened))
  if (hasTurn || isStale) deps.jobs?.expectDeliveries(deps)
}

/**
 * The parts of a statement that write the deliveries of the events in its part `written`, and the turn
 * in which they are sent.
 * @param isCurrent the condition under which they are written.
 */
export function deliveryExpressions({ clock }: Pick<Deps, 'clock'>, userId: string, isCurrent: SQL) {
  const now = clock.sqlNow()
  const pending = sql`
          select from ${webhookDeliveries} d
          where d.user_id = ${userId} and d.endpoint_id = ${webhookEndpoints.id} and d.status = 'PENDING'
          limit ${MAX_PENDING_DELIVERIES}`
  const room =
    userId === OPERATOR_ID
      ? sql`null::bigint`
      : sql`${MAX_PENDING_DELIVERIES} - (select count(*) from (${pending}) as pending)`
  return {
    // Endpoints that are being deleted are waited for, because the foreign key would reject their
    // deliveries. They are locked after the user and the counter, whatever the plan of the join.
    endpoints: sql`
        select id, event_types, coalesce(slow_until > ${now}, false) as is_slow, ${room} as room
        from ${webhookEndpoints}
        where ${and(eq(webhookEndpoints.userId, userId), sql`status = 'ENABLED'`)}
          and (select count(*) from written) > 0 for key share`,
    wanted: sql`
        select endpoints.id as endpoint_id, is_slow, written.id as event_id, written.occurred_at,
          room is null or row_number() over (partition by endpoints.id order by written.position) <= room as fits
        from written join endpoints on ${isCurrent} and case written.type
          when 'webhook.test' then written.webhook_endpoint_id = endpoints.id
          else endpoints.event_types is null or written.type = any(endpoints.event_types) end`,
    delivered: sql`
        insert into ${webhookDeliveries} (user_id, id, endpoint_id, event_id, status, last_error, next_attempt_at, created_at)
        select ${userId}::uuid, gen_random_uuid(), endpoint_id, event_id, case when fits then 'PENDING' else 'DEAD' end,
          case when not fits then 'TOO_MANY_PENDING' end, case when fits then ${now} end, occurred_at
        from wanted`,
    turn: sql`
        insert into ${webhookTurns} as known (user_id, prompt_at, slow_at)
        select ${userId}::uuid, min(${now}) filter (where not is_slow), min(${now}) filter (where is_slow)
        from wanted where fits having count(*) > 0
        on conflict (user_id) do update set
          prompt_at = least(known.prompt_at, excluded.prompt_at), slow_at = least(known.slow_at, excluded.slow_at)
        returning user_id`,
  }
}

async function writeDeliveries(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  happened: readonly { id: string }[],
): Promise<void> {
  // Excludes changes of the endpoints. Where the events are written in this transaction, it is locked.
  await db
    .select({ version: eventPositions.endpointsVersion })
    .from(eventPositions)
    .where(eq(eventPositions.userId, userId))
    .for('no key update')
  const ids = happened.map(({ id }) => id)
  const expressions = {
    written: sql`
        select id, position, type, webhook_endpoint_id, occurred_at from ${events}
        where ${and(eq(events.userId, userId), inArray(events.id, ids))}`,
    ...deliveryExpressions({ clock }, userId, sql`true`),
  }
  const named = Object.entries(expressions).map(([name, query]) => sql`${sql.raw(name)} as (${query})`)
  await queryRows(db, sql`with ${sql.join(named, sql`, `)} select count(*) as turns from turn`)
}
