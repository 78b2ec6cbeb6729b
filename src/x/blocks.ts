// Blocks: calls that X is known to refuse for a while, because a rate limit is used up or the app
// has no credits. They are stored for all instances, so that each costs one refused call.
import { and, desc, eq, getTableColumns, gt, lte, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { prepareQuery } from '../db/prepared-query.ts'
import { OPERATOR_ID, xBlocks, type xEndpoints } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import type { XResult } from './api.ts'
import { type Refusal, refusal } from './refusals.ts'

/** A class of calls that share a rate limit at X. */
export type XEndpoint = (typeof xEndpoints)[number]

/** Whether a call is blocked: not if `refusal` is null. */
export type BlockState = {
  refusal: Refusal | null
  /** True when the call finds out whether a block that has expired still applies. */
  isProbe: boolean
}

/** The account or the connect attempt that a call is for. */
type Subject = { id: string; userId: string }

type BlockKey = Pick<typeof xBlocks.$inferSelect, 'userId' | 'subject'>

/** The subject of a block that applies to all accounts of the app. It belongs to the operator. */
export const APP = 'APP'
const OF_APP: BlockKey = { userId: OPERATOR_ID, subject: APP }
// The time that a probing call has, after a block has expired, to renew or delete the block.
const PROBE_SECONDS = 15
// For a 429 without a reset time; X's windows are 15 minutes.
const DEFAULT_BLOCK_SECONDS = 60
// X does not notify us when an operator has bought credits or enrolled the app, so it is probed.
const CREDITS_BLOCK_SECONDS = 300
/** Refusals of the whole app that only an operator can end. */
export const ENDED_BY_OPERATOR: ErrorCode[] = [
  'X_CREDITS_EXHAUSTED',
  'X_APP_NOT_ENROLLED',
  'X_APP_READ_ONLY',
  'X_APP_SUSPENDED',
]

/**
 * Returns whether a call is blocked, with the refusal that it would certainly get. When a block has
 * expired, one caller probes; the others stay blocked meanwhile.
 * @param subject the account, or the connect attempt, that the call is for.
 */
export async function findBlock(deps: Deps, subject: Subject, endpoint: XEndpoint): Promise<BlockState> {
  const found = await listBlocks(deps, { ...keyOf(subject), endpoint })
  if (found.length === 0) return { refusal: null, isProbe: false }
  const isProbe = found.every(({ isOver }) => isOver) && (await claimProbes(deps, found))
  if (isProbe) return { refusal: null, isProbe }
  const [last] = await deps.db
    .select()
    .from(xBlocks)
    .where(and(concerning(subject, endpoint), gt(xBlocks.until, deps.clock.sqlNow())))
    .orderBy(desc(xBlocks.until))
    .limit(1)
  return { refusal: last === undefined ? null : describe(last), isProbe: false }
}

// Every call to X starts with it.
const listBlocks = prepareQuery(({ db, clock }) => {
  const [userId, subject] = [sql.placeholder('userId'), sql.placeholder('subject')]
  const isOfSubject = and(eq(xBlocks.userId, userId), eq(xBlocks.subject, subject))
  return db
    .select({ ...getTableColumns(xBlocks), isOver: sql<boolean>`${xBlocks.until} <= ${clock.sqlNow()}` })
    .from(xBlocks)
    .where(and(or(isOfSubject, isOf(OF_APP)), eq(xBlocks.endpoint, sql.placeholder('endpoint'))))
})

// Claims the probe of each expired block. A caller that gets the account's probe
// and not the app's makes no call, which delays this account alone.
async function claimProbes(deps: Deps, expired: readonly (typeof xBlocks.$inferSelect)[]): Promise<boolean> {
  for (const block of expired.toSorted((one, other) => Number(one.subject === APP) - Number(other.subject === APP))) {
    const [claimed] = await deps.db
      .update(xBlocks)
      .set({ until: sqlIn(deps.clock, PROBE_SECONDS) })
      .where(and(isOf(block), eq(xBlocks.endpoint, block.endpoint), lte(xBlocks.until, deps.clock.sqlNow())))
      .returning({ subject: xBlocks.subject })
    if (claimed === undefined) return false
  }
  return true
}

/**
 * Returns the refusal that every account's call would certainly get, or null. Starts no probe.
 */
export async function findAppBlock(deps: Deps, endpoint: XEndpoint): Promise<Refusal | null> {
  const [block] = await deps.db
    .select()
    .from(xBlocks)
    .where(and(isOf(OF_APP), eq(xBlocks.endpoint, endpoint), gt(xBlocks.until, deps.clock.sqlNow())))
  return block === undefined ? null : describe(block)
}

/**
 * Updates the blocks from the result of a call: stores a refusal that lasts, and deletes the blocks
 * that any other response of X to a probe disproves.
 */
export async function recordBlocks(
  deps: Deps,
  subject: Subject,
  endpoint: XEndpoint,
  { isProbe }: BlockState,
  result: XResult<unknown>,
): Promise<void> {
  const seconds = result.kind === 'refused' ? blockSeconds(deps, result) : null
  if (result.kind === 'refused' && seconds !== null) {
    const blocked = result.to === 'APP' ? OF_APP : keyOf(subject)
    await deps.db
      .insert(xBlocks)
      .values({ ...blocked, endpoint, errorCode: result.code, until: sqlIn(deps.clock, seconds) })
      .onConflictDoUpdate({
        target: [xBlocks.userId, xBlocks.subject, xBlocks.endpoint],
        set: { errorCode: sql`excluded.error_code`, until: sql`excluded.until` },
      })
  } else if (isProbe && isFromX(result)) {
    // A block that lasts longer than a probe was stored by another call during this one.
    const probed = lte(xBlocks.until, sqlIn(deps.clock, PROBE_SECONDS))
    await deps.db.delete(xBlocks).where(and(concerning(subject, endpoint), probed))
  }
}

function describe({ errorCode, until, subject }: typeof xBlocks.$inferSelect): Refusal {
  return refusal(isErrorCode(errorCode) ? errorCode : 'X_RATE_LIMITED', {
    retryAt: until,
    to: subject === APP ? 'APP' : 'ACCOUNT',
  })
}

function concerning(subject: Subject, endpoint: XEndpoint) {
  return and(or(isOf(keyOf(subject)), isOf(OF_APP)), eq(xBlocks.endpoint, endpoint))
}

function isOf({ userId, subject }: BlockKey) {
  return and(eq(xBlocks.userId, userId), eq(xBlocks.subject, subject))
}

function keyOf({ id, userId }: Subject): BlockKey {
  return { userId, subject: id }
}

// Returns null for a refusal that does not apply to the next call.
function blockSeconds(deps: Deps, { code, retryAt }: Refusal): number | null {
  const told = retryAt === null ? null : (retryAt.getTime() - deps.clock.now().getTime()) / 1000
  if (code === 'X_RATE_LIMITED') return told ?? DEFAULT_BLOCK_SECONDS
  // An operator may raise the cap before it ends.
  if (code === 'X_USAGE_CAPPED') return Math.min(told ?? CREDITS_BLOCK_SECONDS, CREDITS_BLOCK_SECONDS)
  return ENDED_BY_OPERATOR.includes(code) ? CREDITS_BLOCK_SECONDS : null
}

/** Returns true for a result that X itself gave, to an access token that it accepted. */
export function isFromX(result: XResult<unknown>): boolean {
  return result.kind !== 'unknown' && !(result.kind === 'refused' && result.code === 'X_UNAVAILABLE')
}
