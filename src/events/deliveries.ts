// The webhook deliveries of events. They are written in the transaction of the events, so that no work
// is left over that a flood could hold up.
import { and, eq, type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { prepareForms, prepareQuery } from '../db/prepared-query.ts'
import { eventPositions, OPERATOR_ID, webhookDeliveries, webhookEndpoints, webhookTurns } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import type { UnplacedEvent, WrittenEvents } from './unplaced-event.ts'

/**
 * The maximum number of pending deliveries to an endpoint of a user. Further ones are dead at once, so
 * that a receiver that is down or slow for long costs no more. The operator has no limit.
 */
export const MAX_PENDING_DELIVERIES = 1_000

type DeliveryDeps = Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'jobs' | 'afterCommit'>>

/**
 * Counts a change of the user's webhook endpoints that decides what is sent to them, in the
 * transaction that makes it. From here to the commit the user's counter is locked: an event is
 * written either before the change, or with a look at the endpoints after it.
 */
export async function countEndpointChange({ db }: Pick<Deps, 'db'>, userId: string): Promise<void> {
  const { endpointsVersion } = eventPositions
  await db
    .insert(eventPositions)
    .values({ userId, position: 0, endpointsVersion: 1 })
    .onConflictDoUpdate({ target: eventPositions.userId, set: { endpointsVersion: sql`${endpointsVersion} + 1` } })
}

/** The condition that a user has never had a webhook endpoint, as the statement sees it. */
export function hasNoEndpoints(userId: string | SQLWrapper): SQL {
  const { endpointsVersion } = eventPositions
  return sql`not exists (select from ${eventPositions} where ${eq(eventPositions.userId, userId)} and ${endpointsVersion} > 0)`
}

/**
 * Writes the deliveries of events that the transaction of `deps` has written, and has them sent after
 * the commit. The user's counter is locked, so that the endpoints do not change meanwhile.
 */
export async function writeDeliveries(
  deps: DeliveryDeps,
  userId: string,
  happened: readonly UnplacedEvent[],
  { position, endpointsVersion, now }: WrittenEvents,
): Promise<void> {
  if (endpointsVersion === 0) return
  const rows = happened.map(({ id, type, webhookEndpointId, occurredAt }, index) => ({
    id,
    type,
    position: position + index + 1 - happened.length,
    webhook_endpoint_id: webhookEndpointId,
    occurred_at: occurredAt ?? now,
  }))
  const values = { userId, events: JSON.stringify(rows) }
  const [written] = await insertDeliveries(deps, { isLimited: userId !== OPERATOR_ID }, values)
  if (written?.hasTurn === true) deps.jobs?.expectDeliveries(deps)
}

/** Like `writeDeliveries`, for events that are committed. */
export async function writeMissingDeliveries(
  deps: DeliveryDeps,
  userId: string,
  happened: readonly UnplacedEvent[],
  written: WrittenEvents,
): Promise<void> {
  await transaction(deps, async (deps) => {
    await lockCounter(deps, { userId })
    await writeDeliveries(deps, userId, happened, written)
  })
}

const lockCounter = prepareQuery(({ db }) =>
  db
    .select({ endpointsVersion: eventPositions.endpointsVersion })
    .from(eventPositions)
    .where(eq(eventPositions.userId, sql.placeholder('userId')))
    .for('no key update'),
)

const insertDeliveries = prepareForms(
  ({ isLimited }: { isLimited: boolean }) => String(isLimited),
  ({ db, clock }, { isLimited }) => {
    const now = clock.sqlNow()
    const userId = sql.placeholder('userId')
    // Not a parameter, with which PostgreSQL would plan the statement again for each execution.
    const most = sql.raw(String(MAX_PENDING_DELIVERIES))
    const pending = sql`
      select from ${webhookDeliveries} d
      where d.user_id = ${userId} and d.endpoint_id = ${webhookEndpoints.id} and d.status = 'PENDING'
      limit ${most}`
    const room = isLimited ? sql`${most} - (select count(*) from (${pending}) as pending)` : sql`null::bigint`
    // An endpoint of the operator can be an integrator's, which gets acts of the operator only by name.
    const isForAllTypes = isLimited
      ? sql`endpoints.event_types is null`
      : sql`(endpoints.event_types is null and e.type not like 'operator.%')`
    const parts = {
      // Endpoints that are being deleted are waited for, because the foreign key would reject their
      // deliveries.
      endpoints: sql`
        select id, event_types, coalesce(slow_until > ${now}, false) as is_slow, ${room} as room
        from ${webhookEndpoints}
        where ${and(eq(webhookEndpoints.userId, userId), sql`status = 'ENABLED'`)} for key share`,
      wanted: sql`
        select endpoints.id as endpoint_id, is_slow, e.id as event_id, e.occurred_at,
          room is null or row_number() over (partition by endpoints.id order by e.position) <= room as fits
        from jsonb_to_recordset(${sql.placeholder('events')}::text::jsonb) as e (id uuid, position bigint, type text,
          webhook_endpoint_id uuid, occurred_at timestamptz)
        join endpoints on case e.type
          when 'webhook.test' then e.webhook_endpoint_id = endpoints.id
          else ${isForAllTypes} or e.type = any(endpoints.event_types) end`,
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
    const named = Object.entries(parts).map(([name, query]) => db.$with(name, {}).as(query))
    return db
      .with(...named)
      .select({ hasTurn: sql<boolean>`count(*) > 0` })
      .from(sql`turn`)
  },
)
