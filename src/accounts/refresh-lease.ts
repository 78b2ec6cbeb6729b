// Who may rotate an account's tokens: a lease with a fence on its row, how it is taken, and the ways of giving it back without a pair.
import { and, eq, gt, isNull, lte, or, type SQL, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { oauthTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { lockAccount, markNeedsReauth } from './accounts.ts'

/** The row of `oauth_tokens`, as one holder claimed it. */
export type Claim = {
  accountId: string
  userId: string
  leaseId: string
  fence: number
  version: number
  grantId: string
  accessTokenSealed: string
  refreshTokenSealed: string | null
  /** The token may already be spent: its last holder was killed, or had no answer. */
  inDoubt: boolean
  /** What has gone wrong since the last pair came; null in an ordinary refresh. Of a token in doubt it says why. */
  cause: string | null
  claimedAt: number
}

const FREE = { leaseId: null, leaseUntil: null }

/** The state of a row that has just got a new pair: nobody holds it, nothing is in doubt, nothing is waited for. */
export const FRESH = {
  ...FREE,
  state: 'ACTIVE',
  sentAt: null,
  cause: null,
  nextTryAt: null,
  failCount: 0,
  accessUnproven: false,
  accessRefusedAt: null,
} as const

/**
 * Takes the row that has `version`, with the durable mark that its refresh token may be spent from here on. Null when it is held, has
 * moved on, or is left alone for a while.
 * @param accessTokenRejected true when X has refused the access token: then there is nothing left to spare by waiting.
 */
export async function acquireRefreshLease(
  deps: Deps,
  account: { id: string; userId: string },
  version: number,
  accessTokenRejected: boolean,
): Promise<Claim | null> {
  const leaseId = crypto.randomUUID()
  const now = deps.clock.sqlNow()
  const due = or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, now))
  const untouched = and(eq(oauthTokens.state, 'ACTIVE'), isNull(oauthTokens.leaseId), due)
  const maybeSpent = and(
    or(
      and(eq(oauthTokens.state, 'UNCERTAIN'), isNull(oauthTokens.leaseId), due),
      lte(oauthTokens.leaseUntil, sqlIn(deps.clock, -deps.timing.lapseMarginSeconds)),
    ),
    accessTokenRejected
      ? undefined
      : lte(oauthTokens.accessExpiresAt, sqlIn(deps.clock, deps.timing.probeBeforeEndSeconds)),
  )
  const take = async (condition: SQL | undefined, cause: SQL | undefined) => {
    const claimedAt = performance.now()
    const [row] = await deps.db
      .update(oauthTokens)
      .set({
        leaseId,
        leaseUntil: sqlIn(deps.clock, deps.timing.leaseSeconds),
        fence: sql`${oauthTokens.fence} + 1`,
        sentAt: now,
        ...(cause && { cause }),
      })
      .where(
        and(
          eq(oauthTokens.accountId, account.id),
          eq(oauthTokens.version, version),
          sql`${oauthTokens.refreshTokenSealed} is not null`,
          condition,
        ),
      )
      .returning()
    return row && { row, claimedAt }
  }
  let clean: Awaited<ReturnType<typeof take>>
  let taken: Awaited<ReturnType<typeof take>>
  try {
    clean = await take(untouched, undefined)
    taken = clean ?? (await take(maybeSpent, sql`coalesce(${oauthTokens.cause}, 'HOLDER_LOST')`))
  } catch (error) {
    await forgetLease(deps, account.id, leaseId)
    throw error
  }
  if (taken === undefined) return null
  const { row, claimedAt } = taken
  return {
    accountId: account.id,
    userId: account.userId,
    leaseId,
    fence: row.fence,
    version,
    grantId: row.grantId,
    accessTokenSealed: row.accessTokenSealed,
    refreshTokenSealed: row.refreshTokenSealed,
    inDoubt: clean === undefined,
    cause: row.cause,
    claimedAt,
  }
}

// The database may have granted a lease whose confirmation was lost. A row with a cause was in
// doubt before, and stays so. One try: if the database is away, the lease lapses by itself.
async function forgetLease(deps: Deps, accountId: string, leaseId: string): Promise<void> {
  try {
    await deps.db
      .update(oauthTokens)
      .set({
        ...FREE,
        state: sql`case when ${oauthTokens.cause} is null then 'ACTIVE' else 'UNCERTAIN' end`,
        sentAt: sql`case when ${oauthTokens.cause} is null then null else ${oauthTokens.sentAt} end`,
      })
      .where(and(eq(oauthTokens.accountId, accountId), eq(oauthTokens.leaseId, leaseId)))
  } catch (error) {
    deps.log.warn(
      { error, accountId },
      'A lease that may have been granted could not be given back; it lapses by itself',
    )
  }
}

/**
 * True when the row is still this claim's, by the database's clock, for long enough to send. A process's own clock stands still while
 * its machine is suspended.
 */
export function confirmLease(deps: Deps, claim: Claim): Promise<boolean> {
  return retryUntilWritten(deps, 'confirm a lease', async () => {
    const [held] = await deps.db
      .update(oauthTokens)
      .set({ sentAt: deps.clock.sqlNow() })
      .where(and(heldBy(claim), gt(oauthTokens.leaseUntil, sqlIn(deps.clock, secondsToSend(deps)))))
      .returning({ accountId: oauthTokens.accountId })
    return held !== undefined
  })
}

/** What must be left of a lease when the socket is written to. */
export function secondsToSend({ timing }: Deps): number {
  return timing.callDeadlineSeconds + timing.sendMarginSeconds
}

/**
 * Gives the row back: its token was not spent by this claim. One that was in doubt before stays in doubt, with its mark and its cause.
 * @param options.cause what speaks against that, if anything: should X refuse the token later on,
 * it was lost then.
 * @param options.tried false when X was not asked at all: then the pause before the next try does
 * not grow.
 */
export async function releaseLease(
  deps: Deps,
  claim: Claim,
  {
    event,
    retryInSeconds,
    cause = null,
    tried = true,
  }: {
    event: 'X_CREDENTIALS_REJECTED' | 'X_UNAVAILABLE' | null
    retryInSeconds: number | null
    cause?: 'SERVER_ERROR' | null
    tried?: boolean
  },
): Promise<void> {
  const backoff = sql<Date>`(${deps.clock.sqlNow()} + make_interval(secs => random() * least(${deps.timing.maxBackoffSeconds}, power(2, least(${oauthTokens.failCount}, 10)))))`
  await retryUntilWritten(deps, 'give a lease back', () =>
    deps.db
      .update(oauthTokens)
      .set({
        ...FREE,
        ...(!claim.inDoubt && { sentAt: null }),
        state: claim.inDoubt ? 'UNCERTAIN' : 'ACTIVE',
        cause: claim.cause ?? cause,
        ...(tried && { failCount: sql`${oauthTokens.failCount} + 1` }),
        ...(event !== null && { lastEvent: event, lastEventAt: deps.clock.sqlNow() }),
        nextTryAt: retryInSeconds === null ? backoff : sqlIn(deps.clock, retryInSeconds),
      })
      .where(heldBy(claim)),
  )
}

/** Gives the row back in doubt: X may have spent the token. */
export async function markUncertain(deps: Deps, claim: Claim): Promise<void> {
  await retryUntilWritten(deps, 'mark a refresh token as possibly spent', () =>
    deps.db
      .update(oauthTokens)
      .set({
        ...FREE,
        state: 'UNCERTAIN',
        cause: claim.cause ?? 'ANSWER_LOST',
        failCount: sql`${oauthTokens.failCount} + 1`,
        lastEvent: 'ANSWER_LOST',
        lastEventAt: deps.clock.sqlNow(),
        // X may still be acting on what was sent.
        nextTryAt: sqlIn(deps.clock, deps.timing.lapseMarginSeconds),
      })
      .where(heldBy(claim)),
  )
}

/** Gives the row back for good: X refused the token, and only the user can help. */
export async function markDead(deps: Deps, claim: Claim): Promise<void> {
  await retryUntilWritten(deps, 'mark a grant as dead', () =>
    transaction(deps, async (deps) => {
      await lockAccount(deps, claim.accountId)
      const [row] = await deps.db
        .update(oauthTokens)
        .set({
          state: 'DEAD',
          ...FREE,
          sentAt: null,
          cause: claim.cause ?? 'REFUSED',
          lastEvent: 'REFUSED',
          lastEventAt: deps.clock.sqlNow(),
        })
        .where(heldBy(claim))
        .returning({ accountId: oauthTokens.accountId })
      // Another holder has the row: whether the grant is dead is for it to find out.
      if (row === undefined) return
      await markNeedsReauth(deps, claim.accountId, claim, claim.cause === null ? 'GRANT_REVOKED' : 'REFRESH_LOST')
    }),
  )
}

/** The row, if it is still held by this claim. */
export function heldBy(claim: Claim): SQL | undefined {
  return and(
    eq(oauthTokens.accountId, claim.accountId),
    eq(oauthTokens.leaseId, claim.leaseId),
    eq(oauthTokens.fence, claim.fence),
    eq(oauthTokens.version, claim.version),
  )
}
