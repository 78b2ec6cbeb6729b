// From one event to a delivery for each endpoint that asked for it. The table of events is read in the order of its commits, and how far
// is written in the transaction that writes the deliveries: no event is left out or taken twice, and recording one costs nothing more.
import { and, asc, eq, exists, gt, inArray, isNull, lte, or, type SQL, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { events, users, webhookDeliveries, webhookEndpoints, webhookFanOut } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { isReadableBy } from '../events/events.ts'

/** Looks for new events at each hint, soon and one look at a time. */
export type FanOut = {
  /** There may be new events. */
  notify(): void
  /** From now on hints are left to other instances; resolves when no look is under way. */
  end(): Promise<void>
}

const BATCH = 100
// Events that come together are looked for together.
const GATHER_MILLISECONDS = 50
const BUSY_MILLISECONDS = 250
const OPERATOR = 'operator'

/** Makes the fan-out of one process. What it misses, the sweep of every minute finds. */
export function createFanOut(deps: Deps): FanOut {
  let ended = false
  let looking: Promise<void> | null = null
  let heardMeanwhile = false
  const look = async () => {
    do {
      await pause(GATHER_MILLISECONDS)
      heardMeanwhile = false
      try {
        // Another instance may have looked too early: only one that finds nothing new has seen to it.
        while ((await fanOutEvents(deps)) === 'BUSY' && !ended) await pause(BUSY_MILLISECONDS * (0.5 + Math.random()))
      } catch (error) {
        deps.log.warn({ error }, 'New events were not given to webhooks; they will be within a minute')
      }
    } while (heardMeanwhile && !ended)
    looking = null
  }
  return {
    notify: () => {
      heardMeanwhile = true
      if (!ended) looking ??= look()
    },
    end: async () => {
      ended = true
      await looking
    },
  }
}

/**
 * Writes the deliveries of all events that are new, unless another instance is at it: they do not wait for each other, since each of them
 * hears of each event.
 */
export async function fanOutEvents(deps: Deps): Promise<'DONE' | 'BUSY'> {
  while (await isBehind(deps)) {
    if (!(await transaction(deps, fanOutBatch))) return 'BUSY'
  }
  return 'DONE'
}

/** Asks for one delivery to be tried, `afterSeconds` from now. One user's receivers, however slow, hold up their own deliveries only. */
export async function enqueueDelivery(
  deps: Pick<Deps, 'db' | 'jobs'>,
  delivery: { id: string; userId: string | null },
  afterSeconds = 0,
): Promise<void> {
  const data = { id: delivery.id, group: delivery.userId ?? OPERATOR }
  await deps.jobs.enqueue(deps, 'deliver-webhook', data, afterSeconds)
}

/** Whether an event may be sent to an endpoint: a user's own to theirs, and to the operator's what the operator may read. */
export function mayGet(deps: Pick<Deps, 'db'>): SQL | undefined {
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

// False when another instance is at it.
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
  await lockUsers(deps, last.position, position)
  for (const delivery of await insertDeliveries(deps, last.position, position)) await enqueueDelivery(deps, delivery)
  await deps.db.update(webhookFanOut).set({ position })
  return true
}

// A user who is being deleted takes events and endpoints along, and the two would wait for each other: one of them waits here.
async function lockUsers(deps: Deps, after: number, upTo: number): Promise<void> {
  const concerned = deps.db
    .select({ id: events.userId })
    .from(events)
    .where(and(gt(events.position, after), lte(events.position, upTo)))
  await deps.db.select({ id: users.id }).from(users).where(inArray(users.id, concerned)).for('key share')
}

// The lock lets an endpoint that is being deleted drop out, where the foreign key would refuse the whole batch.
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
          mayGet(deps),
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

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
