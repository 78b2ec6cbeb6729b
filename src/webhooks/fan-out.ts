// Fan-out: creates a delivery for each endpoint that subscribes to an event. It reads the events in
// commit order and stores its position in the transaction that inserts the deliveries: no event is
// skipped or delivered twice, and recording an event costs nothing more.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, asc, eq, exists, gt, isNull, lte, or, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { events, OPERATOR_ID, webhookDeliveries, webhookEndpoints, webhookFanOut } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { isReadableBy } from '../events/events.ts'

/** The fan-out of one process: runs soon after each notification, one run at a time. */
export type FanOut = {
  /** Starts a run, because there may be new events. */
  notify(): void
  /** Ignores further notifications; resolves when the current run has ended. */
  end(): Promise<void>
}

const BATCH = 100
// Events that occur together are read together.
const GATHER_MILLISECONDS = 50
const BUSY_MILLISECONDS = 250

/**
 * Creates the fan-out of one process. A job that runs every minute finds what a lost notification
 * missed.
 */
export function createFanOut(deps: Deps): FanOut {
  let ended = false
  let running: Promise<void> | null = null
  let notifiedMeanwhile = false
  const run = async () => {
    do {
      await sleep(GATHER_MILLISECONDS)
      notifiedMeanwhile = false
      try {
        // The instance that is busy may have read before the new event: repeat until a run finds
        // nothing new.
        while ((await fanOutEvents(deps)) === 'BUSY' && !ended) await sleep(BUSY_MILLISECONDS * (0.5 + Math.random()))
      } catch (error) {
        deps.log.warn(
          { error },
          'No webhook deliveries could be created for new events; the next run is within a minute',
        )
      }
    } while (notifiedMeanwhile && !ended)
    running = null
  }
  return {
    notify: () => {
      notifiedMeanwhile = true
      if (!ended) running ??= run()
    },
    end: async () => {
      ended = true
      await running
    },
  }
}

/**
 * Creates the deliveries of all new events. Returns BUSY without waiting when another instance
 * does: every instance is notified of every event.
 */
export async function fanOutEvents(deps: Deps): Promise<'DONE' | 'BUSY'> {
  while (await isBehind(deps)) {
    if (!(await transaction(deps, fanOutBatch))) return 'BUSY'
  }
  return 'DONE'
}

/**
 * Queues an attempt at a delivery, `afterSeconds` from now. Jobs are grouped by user, so that slow
 * receivers delay only their owner's deliveries.
 */
export async function enqueueDelivery(
  deps: Pick<Deps, 'db' | 'jobs'>,
  delivery: { id: string; userId: string | null },
  afterSeconds = 0,
): Promise<void> {
  const data = { id: delivery.id, userId: delivery.userId ?? OPERATOR_ID }
  await deps.jobs.enqueue(deps, 'deliver-webhook', data, afterSeconds)
}

/**
 * The SQL condition that an event may be sent to an endpoint: a user's events to their own, and to
 * the operator's those that the operator may read.
 */
export function mayReceive(deps: Pick<Deps, 'db'>): SQL | undefined {
  return or(
    eq(webhookEndpoints.userId, events.userId),
    and(isNull(webhookEndpoints.userId), or(isNull(events.userId), isReadableBy(deps, { kind: 'OPERATOR' }))),
  )
}

async function isBehind(deps: Deps): Promise<boolean> {
  const newer = deps.db
    .select({ position: events.position })
    .from(events)
    .where(gt(events.position, webhookFanOut.position))
  const [behind] = await deps.db.select().from(webhookFanOut).where(exists(newer))
  return behind !== undefined
}

// False when another instance has locked the position.
async function fanOutBatch(deps: Deps): Promise<boolean> {
  const [last] = await deps.db.select().from(webhookFanOut).for('update', { skipLocked: true })
  if (last === undefined) return false
  const batch = await deps.db
    .select({ position: events.position })
    .from(events)
    .where(gt(events.position, last.position))
    .orderBy(asc(events.position))
    .limit(BATCH)
  const position = batch.at(-1)?.position
  if (position === undefined || position === null) return true
  // The deletion of a user cascades to events and endpoints: locking the users first prevents a
  // deadlock with it.
  await lockUsers(deps.db, await listUsersOf(deps, last.position, position))
  for (const delivery of await insertDeliveries(deps, last.position, position)) await enqueueDelivery(deps, delivery)
  await deps.db.update(webhookFanOut).set({ position })
  return true
}

async function listUsersOf(deps: Deps, after: number, upTo: number): Promise<string[]> {
  const concerned = await deps.db
    .selectDistinct({ id: events.userId })
    .from(events)
    .where(and(gt(events.position, after), lte(events.position, upTo)))
  return concerned.flatMap(({ id }) => id ?? [])
}

// The lock excludes endpoints that are being deleted; the foreign key would otherwise reject the
// whole batch.
async function insertDeliveries(
  deps: Deps,
  after: number,
  upTo: number,
): Promise<{ id: string; userId: string | null }[]> {
  const now = deps.clock.sqlNow()
  const isTest = eq(events.type, 'webhook.test')
  const asked = sql`case when ${isTest} then ${events.webhookEndpointId} = ${webhookEndpoints.id}
    else ${webhookEndpoints.eventTypes} is null or ${events.type} = any(${webhookEndpoints.eventTypes}) end`
  const rows = await queryRows(
    deps.db,
    sql`
      with wanted as (
        select ${webhookEndpoints.id} as endpoint_id, ${events.id} as event_id
        from ${events} join ${webhookEndpoints} on ${and(
          mayReceive(deps),
          eq(webhookEndpoints.status, 'ENABLED'),
          sql`${events.occurredAt} >= ${webhookEndpoints.enabledAt}`,
          asked,
        )}
        where ${events.position} > ${after} and ${events.position} <= ${upTo}
        for key share of ${webhookEndpoints}
      ), written as (
        insert into ${webhookDeliveries} (endpoint_id, event_id, next_attempt_at, created_at)
        select endpoint_id, event_id, ${now}, ${now} from wanted
        on conflict on constraint webhook_deliveries_once do nothing
        returning id, endpoint_id
      )
      select written.id, ${webhookEndpoints.userId} as user_id
      from written join ${webhookEndpoints} on ${webhookEndpoints.id} = written.endpoint_id`,
  )
  return rows.map((row) => ({ id: String(row.id), userId: row.user_id === null ? null : String(row.user_id) }))
}
