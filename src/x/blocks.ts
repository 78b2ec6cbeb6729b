// What X has told us not to ask for a while: remembered for all instances, so that a limit that is used up, or an app without
// credits, costs one refused call and not thirty.
import { aliasedTable, and, desc, eq, gt, inArray, lte, notExists } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { xBlocks, type xEndpoints } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import type { XResult } from './api.ts'
import { type Refusal, refusal } from './refusals.ts'

/** A class of calls that X limits together. */
export type XEndpoint = (typeof xEndpoints)[number]

/** The subject of a block that stands for all accounts of our app. */
export const APP = 'APP'
// Whoever is let through after a block's end has this long to come back with news.
const PROBE_SECONDS = 15
// A 429 that does not say until when; X's windows are a quarter of an hour.
const UNTOLD_BLOCK_SECONDS = 60
// Until an operator has bought credits, or enrolled the app, there is nothing to wait for; asking
// now and then is how we learn of it.
const CREDITS_BLOCK_SECONDS = 300
/** What X holds against the whole app until an operator acts: no moment ends it. */
export const ENDED_BY_OPERATOR: ErrorCode[] = [
  'X_CREDITS_EXHAUSTED',
  'X_APP_NOT_ENROLLED',
  'X_APP_READ_ONLY',
  'X_APP_SUSPENDED',
]

/** The refusal that a call would get for certain, or null. When a block's time is over, one caller is let through to try. */
export async function findBlock(deps: Deps, accountId: string, endpoint: XEndpoint): Promise<Refusal | null> {
  const now = deps.clock.sqlNow()
  const concerns = concerning(xBlocks, accountId, endpoint)
  const blocks = await deps.db.select().from(xBlocks).where(concerns)
  if (blocks.length === 0) return null
  // Only where nothing else stands in the way: a turn to try that is taken and not used keeps the others waiting for nothing.
  const other = aliasedTable(xBlocks, 'other')
  const standing = deps.db
    .select({ subject: other.subject })
    .from(other)
    .where(and(concerning(other, accountId, endpoint), gt(other.until, now)))
  const probing = await deps.db
    .update(xBlocks)
    .set({ until: sqlIn(deps.clock, PROBE_SECONDS) })
    .where(and(concerns, lte(xBlocks.until, now), notExists(standing)))
    .returning()
  if (probing.length > 0) return null
  const [last] = await deps.db
    .select()
    .from(xBlocks)
    .where(and(concerns, gt(xBlocks.until, now)))
    .orderBy(desc(xBlocks.until))
    .limit(1)
  return last === undefined ? null : describe(last)
}

/**
 * The refusal that every account's call would get for certain just now, or null. Lets nobody
 * through to try: it only looks.
 */
export async function findAppBlock(deps: Deps, endpoint: XEndpoint): Promise<Refusal | null> {
  const [block] = await deps.db
    .select()
    .from(xBlocks)
    .where(and(eq(xBlocks.subject, APP), eq(xBlocks.endpoint, endpoint), gt(xBlocks.until, deps.clock.sqlNow())))
  return block === undefined ? null : describe(block)
}

/** Learns from an answer: a refusal that holds for a while is remembered, and any other answer of X proves that there is none. */
export async function recordBlocks(
  deps: Deps,
  accountId: string,
  endpoint: XEndpoint,
  answer: XResult<unknown>,
): Promise<void> {
  const seconds = answer.kind === 'refused' ? blockSeconds(deps, answer) : null
  if (answer.kind === 'refused' && seconds !== null) {
    const row = { errorCode: answer.code, until: sqlIn(deps.clock, seconds) }
    await deps.db
      .insert(xBlocks)
      .values({ subject: answer.to === 'APP' ? APP : accountId, endpoint, ...row })
      .onConflictDoUpdate({ target: [xBlocks.subject, xBlocks.endpoint], set: row })
  } else if (isFromX(answer)) {
    // What has longer to go than a probe was learnt from another call while this one was under way.
    const probed = lte(xBlocks.until, sqlIn(deps.clock, PROBE_SECONDS))
    await deps.db.delete(xBlocks).where(and(concerning(xBlocks, accountId, endpoint), probed))
  }
}

function describe({ errorCode, until, subject }: typeof xBlocks.$inferSelect): Refusal {
  return refusal(isErrorCode(errorCode) ? errorCode : 'X_RATE_LIMITED', {
    retryAt: until,
    to: subject === APP ? 'APP' : 'ACCOUNT',
  })
}

function concerning(table: Pick<typeof xBlocks, 'subject' | 'endpoint'>, accountId: string, endpoint: XEndpoint) {
  return and(inArray(table.subject, [accountId, APP]), eq(table.endpoint, endpoint))
}

// Null for a refusal that says nothing of the next call.
function blockSeconds(deps: Deps, { code, retryAt }: Refusal): number | null {
  const told = retryAt === null ? null : (retryAt.getTime() - deps.clock.now().getTime()) / 1000
  if (code === 'X_RATE_LIMITED') return told ?? UNTOLD_BLOCK_SECONDS
  // An operator may raise the cap before it ends.
  if (code === 'X_USAGE_CAPPED') return Math.min(told ?? CREDITS_BLOCK_SECONDS, CREDITS_BLOCK_SECONDS)
  return ENDED_BY_OPERATOR.includes(code) ? CREDITS_BLOCK_SECONDS : null
}

/** True for an answer that X itself gave, to a token that it accepted. */
export function isFromX(answer: XResult<unknown>): boolean {
  return answer.kind !== 'unknown' && !(answer.kind === 'refused' && answer.code === 'X_UNAVAILABLE')
}
