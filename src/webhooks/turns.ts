// The order in which deliveries are sent, over all instances: it is decided in the database. Users
// have their turns one after the other, whatever the number of their deliveries, and each turn is
// one delivery to the next of the user's endpoints. Receivers that have been slow have a lane of
// their own, so that they occupy none of the workers of the others.
//
// A row of `webhook_turns` is locked before the pending deliveries of its user are read, and after
// they were written. So a turn that finds no delivery misses none that is being written.
import { and, asc, eq, isNotNull, lte, notInArray, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { unionAll } from 'drizzle-orm/pg-core'
import { sqlIn } from '../db/clock.ts'
import { webhookDeliveries, webhookEndpoints, webhookTurns } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { isEndpoint, lockEndpoint, type WebhookEndpoint } from './endpoint-rows.ts'

type TurnDeps = Pick<Deps, 'db' | 'clock'>

/** The receivers that share workers: those that respond within `webhookPromptSeconds`, and the others. */
export type WebhookLane = 'PROMPT' | 'SLOW'

/** The next turn of a user in a lane. `seconds` is the time until then; not positive when it is due. */
export type DueTurn = { lane: WebhookLane; userId: string; seconds: number }

/**
 * A turn that was taken: an attempt at a delivery to an enabled endpoint, or the end of the deliveries
 * of a disabled or deleted one, of which one may be claimed.
 */
export type TakenTurn = {
  endpoint: WebhookEndpoint
  delivery: typeof webhookDeliveries.$inferSelect | null
}

/**
 * How long an endpoint keeps the slow lane after a slow response. A receiver that responds slowly now
 * and then would otherwise be back among the prompt ones for each of its slow responses.
 */
export const SLOW_LANE_SECONDS = 600
// For the connection before the call and for storing the outcome after it.
const CLAIM_MARGIN_SECONDS = 20

const timeOf: Readonly<Record<WebhookLane, PgColumn>> = { PROMPT: webhookTurns.promptAt, SLOW: webhookTurns.slowAt }

/**
 * Lists the users whose turns come next in each lane, of all users, also those that are not due yet.
 * @param wanted how many of each lane, and the users who have none now.
 */
export async function listTurns(
  deps: TurnDeps,
  wanted: ReadonlyMap<WebhookLane, { count: number; without: readonly string[] }>,
): Promise<DueTurn[]> {
  const [first, second] = [...wanted].map(([lane, { count, without }]) => {
    const at = timeOf[lane]
    return deps.db
      .select({
        lane: sql<WebhookLane>`${lane}::text`.as('lane'),
        userId: webhookTurns.userId,
        seconds: sql<number>`extract(epoch from ${at} - ${deps.clock.sqlNow()})::float8`.as('seconds'),
      })
      .from(webhookTurns)
      .where(and(isNotNull(at), without.length === 0 ? undefined : notInArray(webhookTurns.userId, [...without])))
      .orderBy(asc(at))
      .limit(count)
  })
  if (first === undefined) return []
  return second === undefined ? first : unionAll(first, second)
}

/**
 * Takes the turn of a user, if it is still due and no other instance is taking it: claims an attempt
 * at one delivery. The user's next turn in this lane then comes after those of all who wait.
 * @returns null when there is nothing to do now.
 */
export function takeTurn(
  deps: TurnDeps & Pick<Deps, 'timing'>,
  userId: string,
  lane: WebhookLane,
): Promise<TakenTurn | null> {
  return transaction(deps, async (deps) => {
    const [turn] = await deps.db
      .select({ lastEndpointId: webhookTurns.lastEndpointId })
      .from(webhookTurns)
      .where(and(eq(webhookTurns.userId, userId), lte(timeOf[lane], deps.clock.sqlNow())))
      .for('no key update', { skipLocked: true })
    if (turn === undefined) return null
    const endpoint = await findNextEndpoint(deps, userId, lane, turn.lastEndpointId)
    const delivery = endpoint === null ? null : await claimDelivery(deps, endpoint)
    await writeTurns(deps, userId, { lane, endpointId: endpoint?.id ?? null })
    const isIdle = endpoint === null || (delivery === null && endpoint.status === 'ENABLED')
    return isIdle ? null : { endpoint, delivery }
  })
}

/**
 * Writes when the next turns of a user are due, after a change of their deliveries or endpoints by
 * the transaction of `deps`. A turn that is due already keeps its place.
 */
export async function updateTurns(deps: TurnDeps, userId: string): Promise<void> {
  if (!(await lockTurns(deps, userId))) {
    await deps.db.insert(webhookTurns).values({ userId }).onConflictDoNothing({ target: webhookTurns.userId })
    await lockTurns(deps, userId)
  }
  await writeTurns(deps, userId, null)
}

/** Gives an endpoint the slow lane for the next `SLOW_LANE_SECONDS`. */
export function markSlow(deps: TurnDeps, { userId, id }: Pick<WebhookEndpoint, 'userId' | 'id'>): Promise<void> {
  return transaction(deps, async (deps) => {
    if ((await lockEndpoint(deps, userId, id)) === null) return
    await deps.db
      .update(webhookEndpoints)
      .set({ slowUntil: sqlIn(deps.clock, SLOW_LANE_SECONDS) })
      .where(isEndpoint({ userId, id }))
    await updateTurns(deps, userId)
  })
}

async function lockTurns({ db }: TurnDeps, userId: string): Promise<boolean> {
  const isOfUser = eq(webhookTurns.userId, userId)
  const locked = await db
    .select({ userId: webhookTurns.userId })
    .from(webhookTurns)
    .where(isOfUser)
    .for('no key update')
  return locked.length > 0
}

// The first endpoint after the last one that has a delivery due; from the beginning where there is none.
async function findNextEndpoint(
  { db, clock }: TurnDeps,
  userId: string,
  lane: WebhookLane,
  lastId: string | null,
): Promise<WebhookEndpoint | null> {
  const isSlow = isInSlowLane(clock)
  const [endpoint] = await db
    .select()
    .from(webhookEndpoints)
    .where(
      and(
        eq(webhookEndpoints.userId, userId),
        lane === 'SLOW' ? isSlow : sql`not ${isSlow}`,
        sql`${firstAttemptAt({ db, clock }, userId)} <= ${clock.sqlNow()}`,
      ),
    )
    .orderBy(...(lastId === null ? [] : [sql`${webhookEndpoints.id} <= ${lastId}`]), asc(webhookEndpoints.id))
    .limit(1)
  return endpoint ?? null
}

// Claims the delivery that has been due for longest, for as long as an attempt can take.
async function claimDelivery(
  { db, clock, timing }: TurnDeps & Pick<Deps, 'timing'>,
  { userId, id: endpointId }: WebhookEndpoint,
): Promise<TakenTurn['delivery']> {
  const isDue = and(
    eq(webhookDeliveries.userId, userId),
    eq(webhookDeliveries.endpointId, endpointId),
    sql`${webhookDeliveries.status} = 'PENDING'`,
    lte(webhookDeliveries.nextAttemptAt, clock.sqlNow()),
  )
  const first = db
    .select({ id: webhookDeliveries.id })
    .from(webhookDeliveries)
    .where(isDue)
    .orderBy(asc(webhookDeliveries.nextAttemptAt))
    .limit(1)
    .for('no key update', { skipLocked: true })
  const [claimed] = await db
    .update(webhookDeliveries)
    .set({
      attempts: sql`${webhookDeliveries.attempts} + 1`,
      lastAttemptAt: clock.sqlNow(),
      lastHttpStatus: null,
      lastError: null,
      nextAttemptAt: sqlIn(clock, timing.callDeadlineSeconds + CLAIM_MARGIN_SECONDS),
    })
    .where(and(isDue, eq(webhookDeliveries.id, sql`(${first})`)))
    .returning()
  return claimed ?? null
}

// Reads the first attempt that is due in each lane. The row of the turns has to be locked.
async function writeTurns(
  { db, clock }: TurnDeps,
  userId: string,
  taken: { lane: WebhookLane; endpointId: string | null } | null,
): Promise<void> {
  const endpoints = db
    .select({ isSlow: isInSlowLane(clock).as('is_slow'), at: firstAttemptAt({ db, clock }, userId).as('at') })
    .from(webhookEndpoints)
    .where(eq(webhookEndpoints.userId, userId))
    .as('endpoints')
  const next = db
    .select({
      promptAt: sql<Date | null>`min(${endpoints.at}) filter (where not ${endpoints.isSlow})`.as('next_prompt_at'),
      slowAt: sql<Date | null>`min(${endpoints.at}) filter (where ${endpoints.isSlow})`.as('next_slow_at'),
    })
    .from(endpoints)
    .as('next')
  const placeOf = (lane: WebhookLane, nextAt: SQL.Aliased<Date | null>) => {
    const now = clock.sqlNow()
    const place = taken?.lane === lane ? now : sql`least(${timeOf[lane]}, ${now})`
    return sql`case when ${nextAt} <= ${now} then ${place} else ${nextAt} end`
  }
  await db
    .update(webhookTurns)
    .set({
      promptAt: placeOf('PROMPT', next.promptAt),
      slowAt: placeOf('SLOW', next.slowAt),
      ...(taken?.endpointId != null && { lastEndpointId: taken.endpointId }),
    })
    .from(next)
    .where(eq(webhookTurns.userId, userId))
}

// The time of the first attempt at an endpoint, a row of the statement around it. What is left of the
// deliveries of a disabled or deleted endpoint is due at once.
function firstAttemptAt({ db, clock }: TurnDeps, userId: string): SQL<Date | null> {
  const first = db
    .select({ at: sql`min(${webhookDeliveries.nextAttemptAt})` })
    .from(webhookDeliveries)
    .where(
      and(
        eq(webhookDeliveries.userId, userId),
        eq(webhookDeliveries.endpointId, webhookEndpoints.id),
        sql`${webhookDeliveries.status} = 'PENDING'`,
      ),
    )
  const { status, deletedAt } = webhookEndpoints
  return sql<Date | null>`case when ${status} = 'ENABLED' then (${first})
    when ${deletedAt} is not null or (${first}) is not null then ${clock.sqlNow()} end`
}

function isInSlowLane(clock: TurnDeps['clock']): SQL<boolean> {
  return sql<boolean>`coalesce(${webhookEndpoints.slowUntil} > ${clock.sqlNow()}, false)`
}
