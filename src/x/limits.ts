// What X has told us not to ask for a while: remembered for all instances, so that a limit that is used up, or an app without
// credits, costs one refused call and not thirty.
import { and, eq, gt, inArray, lte } from 'drizzle-orm'
import { xBlocks, type xEndpoints } from '../db/tables.ts'
import { type Deps, sqlIn } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../errors.ts'
import type { XAnswer } from './api.ts'

/** A class of calls that X limits together. */
export type XEndpoint = (typeof xEndpoints)[number]

type Refusal = { kind: 'refused'; code: ErrorCode; retryAt: Date | null }

/** The subject of a block that stands for all accounts of our app. */
export const APP = 'APP'
// Whoever is let through after a block's end has this long to come back with news.
const PROBE_SECONDS = 15
// A 429 that does not say until when; X's windows are a quarter of an hour.
const UNTOLD_BLOCK_SECONDS = 60
// Until an operator has bought credits there is nothing to wait for; asking now and then is how we learn that they have.
const CREDITS_BLOCK_SECONDS = 300

/** The refusal that a call would get for certain, or null. When a block's time is over, one caller is let through to try. */
export async function findBlock(deps: Deps, accountId: string, endpoint: XEndpoint): Promise<Refusal | null> {
  const concerns = and(inArray(xBlocks.subject, [accountId, APP]), eq(xBlocks.endpoint, endpoint))
  const blocks = await deps.db.select().from(xBlocks).where(concerns)
  if (blocks.length === 0) return null
  const probing = await deps.db
    .update(xBlocks)
    .set({ until: sqlIn(deps.clock, PROBE_SECONDS) })
    .where(and(concerns, lte(xBlocks.until, deps.clock.sqlNow())))
    .returning()
  const isOurs = (subject: string) => probing.some((block) => block.subject === subject)
  const [standing] = await deps.db
    .select()
    .from(xBlocks)
    .where(and(concerns, gt(xBlocks.until, deps.clock.sqlNow())))
    .then((rows) => rows.filter(({ subject }) => !isOurs(subject)))
  if (standing === undefined) return null
  return {
    kind: 'refused',
    code: isErrorCode(standing.errorCode) ? standing.errorCode : 'RATE_LIMITED',
    retryAt: standing.until,
  }
}

/** Learns from an answer: a refusal that holds for a while is remembered, and any other answer proves that there is none. */
export async function rememberAnswer(
  deps: Deps,
  accountId: string,
  endpoint: XEndpoint,
  answer: XAnswer<unknown>,
): Promise<void> {
  const block = answer.kind === 'refused' ? readBlock(deps, accountId, answer) : null
  if (block === null) {
    // An unknown outcome proves nothing.
    if (answer.kind !== 'unknown') await forget(deps, accountId, endpoint)
    return
  }
  const { subject, code, seconds } = block
  const row = { errorCode: code, until: sqlIn(deps.clock, seconds) }
  await deps.db
    .insert(xBlocks)
    .values({ subject, endpoint, ...row })
    .onConflictDoUpdate({ target: [xBlocks.subject, xBlocks.endpoint], set: row })
}

async function forget(deps: Deps, accountId: string, endpoint: XEndpoint): Promise<void> {
  await deps.db.delete(xBlocks).where(and(inArray(xBlocks.subject, [accountId, APP]), eq(xBlocks.endpoint, endpoint)))
}

function readBlock(
  deps: Deps,
  accountId: string,
  { code, retryAt }: { code: ErrorCode; retryAt: Date | null },
): { subject: string; code: ErrorCode; seconds: number } | null {
  const told = retryAt === null ? null : (retryAt.getTime() - deps.clock.now().getTime()) / 1000
  if (code === 'RATE_LIMITED') return { subject: accountId, code, seconds: told ?? UNTOLD_BLOCK_SECONDS }
  if (code === 'X_USAGE_CAPPED') return { subject: APP, code, seconds: told ?? CREDITS_BLOCK_SECONDS }
  if (code === 'X_CREDITS_EXHAUSTED') return { subject: APP, code, seconds: CREDITS_BLOCK_SECONDS }
  return null
}
