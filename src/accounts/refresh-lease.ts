// The lease under which one process at a time may refresh an account's tokens: a row lease with a
// fencing token, in `oauth_tokens`. Acquiring it is a conditional UPDATE that raises the fencing
// token; every later write names lease, fencing token and version, so that a holder whose lease has
// expired changes nothing. The functions here acquire the lease and release it without new tokens.
import { and, eq, gt, isNull, lte, or, type SQL, sql } from 'drizzle-orm'
import { isActiveUser } from '../db/active-user.ts'
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { oauthTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { type AccountKey, isTokensOf } from './account-rows.ts'
import { lockAccount, markNeedsReauth } from './account-status.ts'

/** The row of `oauth_tokens` as it was when the lease was acquired. */
export type RefreshLease = {
  accountId: string
  userId: string
  leaseId: string
  /** Raised by every acquisition of the account's lease. */
  fencingToken: number
  version: number
  grantId: string
  accessTokenSealed: string
  refreshTokenSealed: string | null
  /**
   * True when the refresh token may already be spent: its last holder died, or received no
   * response.
   */
  isUncertain: boolean
  /** What first went wrong since the last token pair was stored; null in an ordinary refresh. */
  cause: string | null
  /** By `performance.now()`. */
  acquiredAt: number
}

// The cause of a token that the restore of a database has brought back.
const RESTORED = 'DATABASE_RESTORED'

const NO_LEASE = { leaseId: null, leaseUntil: null }

/** The columns of a row that has just received a token pair: no lease, no error, no pause. */
export const FRESH = {
  ...NO_LEASE,
  state: 'ACTIVE',
  sentAt: null,
  cause: null,
  nextTryAt: null,
  failCount: 0,
  accessUnproven: false,
  accessRefusedAt: null,
} as const

/**
 * Acquires the lease of the row that has `version`, and sets `sentAt`, the durable mark that the
 * refresh token may be spent from here on. Returns null when another process holds the lease, the
 * row has changed, its next try is not due, or the user is being deleted.
 * @param accessTokenRejected true when X has rejected the access token: an uncertain refresh token
 * is then tried at once instead of shortly before the access token expires.
 * @param isProbe true for a token of a restored database that may be spent: see restored-tokens.ts.
 */
export async function acquireRefreshLease(
  deps: Deps,
  account: AccountKey,
  version: number,
  { accessTokenRejected, isProbe }: { accessTokenRejected: boolean; isProbe: boolean },
): Promise<RefreshLease | null> {
  const { timing } = deps
  const leaseId = crypto.randomUUID()
  const now = deps.clock.sqlNow()
  const isDue = or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, now))
  const isUnspent = and(eq(oauthTokens.state, 'ACTIVE'), isNull(oauthTokens.leaseId), isDue)
  const isMaybeSpent = and(
    or(
      and(eq(oauthTokens.state, 'UNCERTAIN'), isNull(oauthTokens.leaseId), isDue),
      isProbe ? isUnspent : undefined,
      lte(oauthTokens.leaseUntil, sqlIn(deps.clock, -timing.lapseMarginSeconds)),
    ),
    accessTokenRejected ? undefined : lte(oauthTokens.accessExpiresAt, sqlIn(deps.clock, timing.probeBeforeEndSeconds)),
  )
  const acquireWhere = async (condition: SQL | undefined, cause: SQL | undefined) => {
    const acquiredAt = performance.now()
    const [row] = await deps.db
      .update(oauthTokens)
      .set({
        leaseId,
        leaseUntil: sqlIn(deps.clock, timing.leaseSeconds),
        fencingToken: sql`${oauthTokens.fencingToken} + 1`,
        sentAt: now,
        ...(cause && { cause }),
      })
      .where(
        and(
          isTokensOf(account),
          eq(oauthTokens.version, version),
          sql`${oauthTokens.refreshTokenSealed} is not null`,
          isActiveUser(account.userId),
          condition,
        ),
      )
      .returning()
    return row && { row, acquiredAt }
  }
  let unspent: Awaited<ReturnType<typeof acquireWhere>>
  let acquired: Awaited<ReturnType<typeof acquireWhere>>
  try {
    const cause = isProbe ? RESTORED : 'LEASE_EXPIRED'
    unspent = isProbe ? undefined : await acquireWhere(isUnspent, undefined)
    acquired = unspent ?? (await acquireWhere(isMaybeSpent, sql`coalesce(${oauthTokens.cause}, ${cause})`))
  } catch (error) {
    await releaseUnconfirmed(deps, account, leaseId)
    throw error
  }
  if (acquired === undefined) return null
  const { row, acquiredAt } = acquired
  return {
    accountId: account.id,
    userId: account.userId,
    leaseId,
    fencingToken: row.fencingToken,
    version,
    grantId: row.grantId,
    accessTokenSealed: row.accessTokenSealed,
    refreshTokenSealed: row.refreshTokenSealed,
    isUncertain: unspent === undefined,
    cause: row.cause,
    acquiredAt,
  }
}

// The database may have granted a lease whose confirmation was lost. A row with a cause was
// uncertain before, and stays so. One try: while the database is away, the lease expires by itself.
async function releaseUnconfirmed(deps: Deps, account: AccountKey, leaseId: string): Promise<void> {
  try {
    await deps.db
      .update(oauthTokens)
      .set({
        ...NO_LEASE,
        state: sql`case when ${oauthTokens.cause} is null then 'ACTIVE' else 'UNCERTAIN' end`,
        sentAt: sql`case when ${oauthTokens.cause} is null then null else ${oauthTokens.sentAt} end`,
      })
      .where(and(isTokensOf(account), eq(oauthTokens.leaseId, leaseId)))
  } catch (error) {
    deps.log.warn(
      { error, accountId: account.id },
      'Could not release a refresh lease that may have been granted; it will expire',
    )
  }
}

/**
 * Returns true when the lease is still valid by the database's clock, for long enough to send the
 * request. The process's own clock does not advance while its machine is suspended.
 */
export function confirmLease(deps: Deps, lease: RefreshLease): Promise<boolean> {
  return retryUntilWritten(deps, 'confirm a refresh lease', async () => {
    const [confirmed] = await deps.db
      .update(oauthTokens)
      .set({ sentAt: deps.clock.sqlNow() })
      .where(and(underLease(lease), gt(oauthTokens.leaseUntil, sqlIn(deps.clock, secondsToSend(deps)))))
      .returning({ accountId: oauthTokens.accountId })
    return confirmed !== undefined
  })
}

/** The seconds that must be left of a lease when the request is sent. */
export function secondsToSend({ timing }: Deps): number {
  return timing.callDeadlineSeconds + timing.sendMarginSeconds
}

/**
 * Releases the lease of a refresh token that was not spent under it. One that was uncertain before
 * stays uncertain, with its `sentAt` and its cause.
 * @param options.retryInSeconds the pause before the next try; null for exponential backoff.
 * @param options.cause SERVER_ERROR when X failed with a 5xx: if X rejects the token later, it was
 * spent here.
 * @param options.tried false when no request was sent: the backoff then does not grow.
 */
export async function releaseLease(
  deps: Deps,
  lease: RefreshLease,
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
  // The random number comes from here: Citus refuses volatile functions in an UPDATE.
  const backoff = sql<Date>`(${deps.clock.sqlNow()} + make_interval(secs => ${Math.random()} * least(${deps.timing.maxBackoffSeconds}, power(2, least(${oauthTokens.failCount}, 10)))))`
  await retryUntilWritten(deps, 'release a refresh lease', () =>
    deps.db
      .update(oauthTokens)
      .set({
        ...NO_LEASE,
        ...(!lease.isUncertain && { sentAt: null }),
        state: lease.isUncertain ? 'UNCERTAIN' : 'ACTIVE',
        cause: lease.cause ?? cause,
        ...(tried && { failCount: sql`${oauthTokens.failCount} + 1` }),
        ...(event !== null && { lastEvent: event, lastEventAt: deps.clock.sqlNow() }),
        nextTryAt: retryInSeconds === null ? backoff : sqlIn(deps.clock, retryInSeconds),
      })
      .where(underLease(lease)),
  )
}

/**
 * Releases the lease of a refresh token that X may have spent without a response reaching the
 * gateway.
 */
export async function markUncertain(deps: Deps, lease: RefreshLease): Promise<void> {
  await retryUntilWritten(deps, 'mark a refresh token as possibly spent', () =>
    deps.db
      .update(oauthTokens)
      .set({
        ...NO_LEASE,
        state: 'UNCERTAIN',
        cause: lease.cause ?? 'RESPONSE_LOST',
        failCount: sql`${oauthTokens.failCount} + 1`,
        lastEvent: 'RESPONSE_LOST',
        lastEventAt: deps.clock.sqlNow(),
        // X may still be processing the request.
        nextTryAt: sqlIn(deps.clock, deps.timing.lapseMarginSeconds),
      })
      .where(underLease(lease)),
  )
}

/**
 * Releases the lease of a refresh token that X has rejected, and sets the account to NEEDS_REAUTH.
 */
export async function markDead(deps: Deps, lease: RefreshLease): Promise<void> {
  await retryUntilWritten(deps, 'mark a grant as dead', () =>
    transaction(deps, async (deps) => {
      await lockAccount(deps, leasedAccount(lease))
      const [row] = await deps.db
        .update(oauthTokens)
        .set({
          state: 'DEAD',
          ...NO_LEASE,
          sentAt: null,
          cause: lease.cause ?? 'REFUSED',
          lastEvent: 'REFUSED',
          lastEventAt: deps.clock.sqlNow(),
        })
        .where(underLease(lease))
        .returning({ accountId: oauthTokens.accountId })
      // Another process holds the lease now, and finds out itself whether the grant is dead.
      if (row === undefined) return
      await markNeedsReauth(deps, leasedAccount(lease), lease, reasonOf(lease))
    }),
  )
}

function reasonOf({ cause }: RefreshLease): 'GRANT_REVOKED' | 'REFRESH_LOST' | 'DATABASE_RESTORED' {
  if (cause === RESTORED) return 'DATABASE_RESTORED'
  return cause === null ? 'GRANT_REVOKED' : 'REFRESH_LOST'
}

/** Returns the key of the account whose tokens are leased. */
export function leasedAccount({ accountId, userId }: RefreshLease): AccountKey {
  return { id: accountId, userId }
}

/** The condition that the row is still under this lease. */
export function underLease(lease: RefreshLease): SQL | undefined {
  return and(
    isTokensOf(leasedAccount(lease)),
    eq(oauthTokens.leaseId, lease.leaseId),
    eq(oauthTokens.fencingToken, lease.fencingToken),
    eq(oauthTokens.version, lease.version),
  )
}
