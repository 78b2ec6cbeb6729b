// Refuses a connection that was approved at X. X keeps one grant for each account and app, so the
// approval has ended the account's earlier grant, even where the account is connected to another
// user.
import { and, eq, inArray, isNotNull } from 'drizzle-orm'
import { isAttempt } from '../auth/connect-attempt.ts'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { connectAttempts, connectedAccounts, oauthTokens } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe, type XProfile } from '../x/api.ts'
import { lockAccountHolder, releaseAccount } from './account-holder.ts'
import { isAccountAtX, isTokensOf } from './account-rows.ts'
import { markSuperseded } from './account-status.ts'
import { type AttemptWithTokens, lockAttempt, openAttemptTokens, type TakenAttempt } from './attempt-tokens.ts'
import { recordRefusedConnection } from './refused-connections.ts'
import { requestRevocation } from './revocation.ts'

/** Why a connection is refused. */
export type Refused = {
  error: AppError
  /** The approved account; absent when X did not say which one it is. */
  profile?: XProfile
  /**
   * True when X has ended the new grant already: it need not be revoked, and has ended no other.
   */
  isDead?: boolean
}

// An attempt whose account is unknown may concern any of the user's accounts. Few users have more.
const MAX_CHECKED = 20

/**
 * Ends an attempt as FAILED, requests the revocation of its grant, and notifies the user whose
 * working connection the approval has ended, in one transaction. When the approved account is
 * unknown, jobs check the accounts that it may be.
 * @returns 'undecided' when X cannot say at the moment which of two grants is valid: nothing is
 * written then.
 */
export async function refuseConnection(
  deps: Deps,
  claimed: AttemptWithTokens,
  { error, profile, isDead = false }: Refused,
): Promise<{ kind: 'refused'; error: AppError } | { kind: 'taken-over' | 'undecided' }> {
  let olderGrantId: string | null = null
  let isReplaced = isDead
  for (;;) {
    const result = await retryUntilWritten(
      deps,
      'refuse a connection',
      () => transaction(deps, (deps) => write(deps, claimed, error, profile ?? null, isReplaced, olderGrantId)),
      PERSON_WAITS_SECONDS,
    )
    if (result.kind !== 'conflict') return result
    // The other user has connected the account while this approval was under way. X's response to
    // the access token decides which approval is the later one.
    const me = await fetchMe(deps, claimed.tokens.accessToken ?? '')
    if (me.kind === 'unauthorized') isReplaced = true
    else if (me.kind === 'done') olderGrantId = result.otherGrantId
    else return { kind: 'undecided' }
  }
}

/**
 * Queues checks of the accounts whose grant an approval may have ended, in the transaction of
 * `deps`.
 */
export async function queueConnectionChecks(
  deps: Deps,
  attempt: Pick<TakenAttempt, 'userId' | 'reconnectAccountId'>,
): Promise<void> {
  const { userId, reconnectAccountId } = attempt
  const accounts = await deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(
      and(
        eq(connectedAccounts.userId, userId),
        inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED']),
        reconnectAccountId === null ? undefined : eq(connectedAccounts.id, reconnectAccountId),
      ),
    )
    .limit(MAX_CHECKED)
  for (const { id } of accounts) await deps.jobs.enqueue(deps, 'check-connection', { userId, id })
}

// The user's own connection of the approved account, whose grant the approval has ended too.
async function queueCheckOfOwn(deps: Deps, userId: string, providerAccountId: string): Promise<void> {
  const [own] = await deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(and(isAccountAtX(userId, providerAccountId), inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED'])))
  if (own !== undefined) await deps.jobs.enqueue(deps, 'check-connection', { userId, id: own.id })
}

type Written =
  | { kind: 'refused'; error: AppError }
  | { kind: 'taken-over' }
  | { kind: 'conflict'; otherGrantId: string }

async function write(
  deps: Deps,
  claimed: AttemptWithTokens,
  error: AppError,
  profile: XProfile | null,
  isReplaced: boolean,
  olderGrantId: string | null,
): Promise<Written> {
  const { attempt } = claimed
  let shownError = error
  const locked = profile === null ? null : await lockConnection(deps, attempt.userId, profile.providerAccountId)
  if (!(await lockAttempt(deps, claimed))) return { kind: 'taken-over' }
  const other = isReplaced ? null : locked
  if (other !== null) {
    if (other.grantId !== olderGrantId && other.connectedAt >= attempt.takenAt)
      return { kind: 'conflict', otherGrantId: other.grantId }
    if (other.status !== 'NEEDS_REAUTH') await markSuperseded(deps, other)
    shownError = withEndedConnection(error, profile?.username ?? '')
  }
  if (profile === null) await queueConnectionChecks(deps, attempt)
  else if (locked === null && !isReplaced) await queueCheckOfOwn(deps, attempt.userId, profile.providerAccountId)
  if (!isReplaced) await revokeAttemptTokens(deps, claimed, profile?.providerAccountId ?? null)
  await deps.db
    .update(connectAttempts)
    .set({
      status: 'FAILED',
      errorCode: shownError.code,
      errorDetail: shownError.message === errorCodes[shownError.code].sentence ? null : shownError.message,
      retryAt: shownError.retryAt,
      tokensSealed: null,
      accessExpiresAt: null,
      nextTryAt: null,
      finishedAt: deps.clock.sqlNow(),
    })
    .where(isAttempt(attempt))
  if (profile !== null) await recordRefusedConnection(deps, attempt, profile.providerAccountId)
  return { kind: 'refused', error: shownError }
}

/**
 * Requests the revocation of an attempt's grant, in the transaction of `deps` that deletes its
 * tokens.
 */
export async function revokeAttemptTokens(
  deps: Deps,
  { attempt, tokens }: Pick<AttemptWithTokens, 'tokens'> & { attempt: { id: string; userId: string } },
  providerAccountId: string | null,
): Promise<void> {
  const owner = { accountId: attempt.id, userId: attempt.userId, providerAccountId }
  const { refreshToken, accessToken } = tokens
  if (refreshToken !== null) await requestRevocation(deps, owner, refreshToken, 'refresh_token')
  else if (accessToken !== null) await requestRevocation(deps, owner, accessToken, 'access_token')
}

/**
 * Requests the revocation of the grants of those of a user's attempts that wait for X, in the
 * transaction of `deps` that deletes the attempts.
 */
export async function revokeAttemptTokensOf(deps: Deps, userId: string, ids: readonly string[]): Promise<void> {
  const waiting = await deps.db
    .select({ id: connectAttempts.id, sealed: connectAttempts.tokensSealed })
    .from(connectAttempts)
    .where(
      and(
        eq(connectAttempts.userId, userId),
        inArray(connectAttempts.id, [...ids]),
        isNotNull(connectAttempts.tokensSealed),
      ),
    )
    .for('update')
  for (const { id, sealed } of waiting) {
    const attempt = { id, userId }
    const tokens = sealed === null ? null : await openAttemptTokens(deps, attempt, sealed)
    if (tokens !== null) await revokeAttemptTokens(deps, { attempt, tokens }, null)
  }
}

type OtherConnection = typeof connectedAccounts.$inferSelect & { grantId: string; version: number }

// Locks an account at X, and returns its connection to another user, whose grant the approval has
// ended; null when no other user has it.
async function lockConnection(deps: Deps, userId: string, providerAccountId: string): Promise<OtherConnection | null> {
  const holder = await lockAccountHolder(deps, userId, providerAccountId)
  await lockUsers(deps.db, [userId, holder.userId])
  if (holder.isNew) await releaseAccount(deps, userId, providerAccountId)
  if (holder.userId === userId) return null
  const [account] = await deps.db
    .select()
    .from(connectedAccounts)
    .where(isAccountAtX(holder.userId, providerAccountId))
    .for('no key update')
  if (account === undefined) return null
  const [tokens] = await deps.db
    .select({ grantId: oauthTokens.grantId, version: oauthTokens.version })
    .from(oauthTokens)
    .where(isTokensOf(account))
  return tokens === undefined ? null : { ...account, ...tokens }
}

// The code's own sentence does not say that the approval has ended another connection.
function withEndedConnection(error: AppError, username: string): AppError {
  const ended = `@${username} is connected to another user here, and approving it at X has ended that connection: that user has been told to connect it again.`
  const remedy =
    error.code === 'ACCOUNT_CONNECTED_TO_ANOTHER_USER'
      ? 'Disconnect it there before you connect it here.'
      : error.message
  return new AppError(error.code, { detail: `${ended} ${remedy}`, retryAt: error.retryAt, cause: error })
}
