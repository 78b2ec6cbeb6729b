// The refreshes that no caller asks for: of accounts that are not used, and of orphaned token
// pairs.
import { and, asc, count, eq, inArray, isNotNull, isNull, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { isActiveUser } from '../db/active-user.ts'
import { sqlIn } from '../db/clock.ts'
import { isEncryptionKeyMissing } from '../db/sealed-values.ts'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { hasTokens } from './account-rows.ts'
import { adoptOrphanedTokens, sweepOrphanedTokens } from './orphaned-tokens.ts'
import { shareRefresh } from './refresh.ts'

type DueAccount = { id: string; userId: string; version: number }

// Those that are due are spread over an hour, so that X gets no burst of requests.
const SPREAD_MINUTES = 60
const MIN_BATCH = 20
const MAX_BATCH = 2_000
// One refresh at once for each 20 of the batch.
const BATCH_PER_REFRESH = 20
const MAX_AT_ONCE = 16

/**
 * Refreshes the tokens of accounts that have not been used for months, before their refresh tokens
 * expire. The tokens of other accounts are refreshed when they are used. Runs every minute.
 *
 * The rate follows from the number that is due. Of 10 million unused accounts
 * 10,000,000 / (150 days × 1,440 minutes) = 46 a minute become due. With a sixtieth of the due ones
 * in each batch, 46 × 60 = 2,760 are due at a time, an hour late at most, three at once. At most 16
 * are refreshed at once for 45 s: 72 a minute (15 million in 150 days) if X takes the whole deadline
 * of 10 s for each, 1,440 a minute if it takes 0.5 s. After an outage of a month, 10 million ×
 * 30 / 150 = 2 million are due, which takes 23 hours at that rate.
 * @param signal ends the run between two accounts; the next one goes on.
 * @returns the number of accounts for which a refresh was tried.
 */
export async function refreshIdleAccounts(deps: Deps, signal: AbortSignal): Promise<number> {
  const isIdle = isIdleSince(sqlIn(deps.clock, -deps.timing.idleRefreshSeconds))
  const bounded = deps.db
    .select({ one: sql`1` })
    .from(oauthTokens)
    .where(isIdle)
    .limit(MAX_BATCH * SPREAD_MINUTES)
    .as('bounded')
  const [due] = await deps.db.select({ count: count() }).from(bounded)
  const batch = Math.max(MIN_BATCH, Math.ceil((due?.count ?? 0) / SPREAD_MINUTES))
  const idle = await deps.db
    .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, hasTokens)
    // Accounts in their backoff would fill the batch, as would those of blocked users.
    .where(
      and(
        isIdle,
        mayTry(deps),
        inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED']),
        isActiveUser(oauthTokens.userId),
      ),
    )
    .orderBy(asc(oauthTokens.refreshIssuedAt))
    .limit(batch)
  return refreshAll(deps, idle, { accessTokenRejected: false, signal })
}

/**
 * Tries the orphaned token pairs of accounts that need reauthorization. Where X still accepts one,
 * the account works again without its user.
 * @param signal as for `refreshIdleAccounts`.
 * @returns the number of orphaned pairs that were deleted, and of accounts for which a refresh was tried.
 */
export async function recoverOrphanedTokens(deps: Deps, signal: AbortSignal): Promise<number> {
  await adoptOrphanedTokens(deps)
  const deleted = await sweepOrphanedTokens(deps, signal)
  const adopted = await deps.db
    .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, hasTokens)
    // As in the condition of the index `oauth_tokens_uncertain`.
    .where(
      and(
        sql`${oauthTokens.state} = 'UNCERTAIN'`,
        mayTry(deps),
        eq(connectedAccounts.status, 'NEEDS_REAUTH'),
        isActiveUser(oauthTokens.userId),
      ),
    )
    .orderBy(sql`${oauthTokens.nextTryAt} nulls first`)
    .limit(MAX_BATCH)
  return deleted + (await refreshAll(deps, adopted, { accessTokenRejected: true, signal }))
}

// As in the condition of the index `oauth_tokens_idle`.
function isIdleSince(moment: SQL<Date>): SQL | undefined {
  return and(
    lt(oauthTokens.refreshIssuedAt, moment),
    sql`${oauthTokens.state} <> 'DEAD'`,
    isNotNull(oauthTokens.refreshTokenSealed),
  )
}

function mayTry({ clock }: Deps): SQL | undefined {
  return or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, clock.sqlNow()))
}

type Run = { accessTokenRejected: boolean; signal: AbortSignal }

// Returns the number of accounts that were tried.
async function refreshAll(deps: Deps, accounts: readonly DueAccount[], run: Run): Promise<number> {
  let tried = 0
  const takeAccounts = function* () {
    for (const account of accounts) {
      tried += 1
      yield account
    }
  }
  const left = takeAccounts()
  // Alone, so that an outage of X costs one call.
  if (!(await refreshNext(deps, left, run))) return tried
  let isOver = false
  const worker = async () => {
    while (!isOver) if (!(await refreshNext(deps, left, run))) isOver = true
  }
  const atOnce = Math.min(MAX_AT_ONCE, Math.ceil(accounts.length / BATCH_PER_REFRESH))
  await Promise.all(Array.from({ length: atOnce }, worker))
  return tried
}

// False when there is nothing more to do: X is unavailable or rejects our credentials, so the
// remaining accounts would fail too.
async function refreshNext(deps: Deps, left: Iterator<DueAccount>, { accessTokenRejected, signal }: Run) {
  if (signal.aborted) return false
  const { value: account, done } = left.next()
  if (done) return false
  try {
    const outcome = await shareRefresh(deps, account, account.version, accessTokenRejected)
    return outcome.kind !== 'failed'
  } catch (error) {
    // One account's error must not stop the others. A missing key has a line of its own.
    if (!isEncryptionKeyMissing(error))
      deps.log.warn({ error, accountId: account.id }, 'Could not refresh the tokens of an account in the sweep')
    return true
  }
}
