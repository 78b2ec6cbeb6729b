// Refusing a connection that X has approved. X keeps one pair for each account and app, so that the
// approval has ended the account's earlier pair, also where that was another user's.
import { and, eq, inArray, isNotNull, ne } from 'drizzle-orm'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { connectAttempts, connectedAccounts, oauthTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe, type XProfile } from '../x/api.ts'
import { markSuperseded } from './accounts.ts'
import { type AttemptWithTokens, openAttemptTokens, type TakenAttempt, updateAttempt } from './attempt-tokens.ts'
import { requestRevocation } from './revocation.ts'
import { lockXAccount } from './store-connection.ts'

/** Why a connection is refused. */
export type Refused = {
  error: AppError
  /** Whose account X has approved; absent where X did not say. */
  profile?: XProfile
  /**
   * True when X has ended the new pair already: there is nothing to revoke, and nothing that it can
   * have ended.
   */
  isDead?: boolean
}

// An attempt whose account is not known may have been about any of the user's. Few people have
// more.
const MAX_CHECKED = 20

/**
 * Ends an attempt as FAILED, asks for its pair to be revoked, and tells the user whose working
 * connection the approval has ended, in one transaction. Where X's account is not known, a job
 * checks the accounts that it may be.
 * @returns 'undecided' when X cannot say just now which of two pairs it holds: nothing is written
 * then.
 */
export async function refuseConnection(
  deps: Deps,
  kept: AttemptWithTokens,
  { error, profile, isDead = false }: Refused,
): Promise<{ kind: 'refused'; error: AppError } | { kind: 'lost' | 'undecided' }> {
  let olderGrantId: string | null = null
  let isReplaced = isDead
  for (;;) {
    const result = await retryUntilWritten(
      deps,
      'refuse a connection',
      () => transaction(deps, (deps) => write(deps, kept, error, profile ?? null, isReplaced, olderGrantId)),
      PERSON_WAITS_SECONDS,
    )
    if (result.kind !== 'rivalled') return result
    // The other user has connected the account since this approval was under way: which one is the
    // later is for X to say.
    const answer = await fetchMe(deps, kept.tokens.accessToken ?? '')
    if (answer.kind === 'unauthorized') isReplaced = true
    else if (answer.kind === 'done') olderGrantId = result.rivalId
    else return { kind: 'undecided' }
  }
}

/**
 * Asks, in the transaction of `deps`, for checks of the accounts that an approval may have been
 * about where X did not say.
 */
export async function queueConnectionChecks(
  deps: Deps,
  attempt: Pick<TakenAttempt, 'userId' | 'reconnectAccountId'>,
): Promise<void> {
  const { userId, reconnectAccountId } = attempt
  const suspects = await deps.db
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
  for (const { id } of suspects) await deps.jobs.enqueue(deps, 'check-connection', { id })
}

type Written = { kind: 'refused'; error: AppError } | { kind: 'lost' } | { kind: 'rivalled'; rivalId: string }

async function write(
  deps: Deps,
  kept: AttemptWithTokens,
  error: AppError,
  profile: XProfile | null,
  isReplaced: boolean,
  olderGrantId: string | null,
): Promise<Written> {
  const { attempt } = kept
  let told = error
  if (profile !== null) await lockXAccount(deps, profile.providerAccountId)
  // Held from here on: no other process finishes the attempt meanwhile.
  if (!(await updateAttempt(deps, kept, { providerAccountId: profile?.providerAccountId ?? null })))
    return { kind: 'lost' }
  const holder =
    profile === null || isReplaced ? null : await lockHolder(deps, attempt.userId, profile.providerAccountId)
  if (holder !== null) {
    if (holder.grantId !== olderGrantId && holder.connectedAt >= attempt.takenAt)
      return { kind: 'rivalled', rivalId: holder.grantId }
    if (holder.status !== 'NEEDS_REAUTH') await markSuperseded(deps, holder)
    told = withCutConnection(error, profile?.username ?? '')
  }
  if (profile === null) await queueConnectionChecks(deps, attempt)
  if (!isReplaced) await revokeAttemptTokens(deps, kept, profile?.providerAccountId ?? null)
  await deps.db
    .update(connectAttempts)
    .set({
      status: 'FAILED',
      errorCode: told.code,
      errorDetail: told.message === errorCodes[told.code].sentence ? null : told.message,
      retryAt: told.retryAt,
      tokensSealed: null,
      accessExpiresAt: null,
      nextTryAt: null,
      finishedAt: deps.clock.sqlNow(),
    })
    .where(eq(connectAttempts.id, attempt.id))
  return { kind: 'refused', error: told }
}

/** Asks for a kept pair to be revoked, in the transaction of `deps` that forgets it. */
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
 * Asks for the pairs to be revoked that are kept with a user's attempts, in the transaction of
 * `deps` that deletes the user.
 */
export async function revokeAttemptTokensOfUser(deps: Deps, userId: string): Promise<void> {
  const kept = await deps.db
    .select({ id: connectAttempts.id, sealed: connectAttempts.tokensSealed })
    .from(connectAttempts)
    .where(and(eq(connectAttempts.userId, userId), isNotNull(connectAttempts.tokensSealed)))
    .for('update')
  for (const { id, sealed } of kept) {
    const attempt = { id, userId }
    const tokens = sealed === null ? null : await openAttemptTokens(deps, attempt, sealed)
    if (tokens !== null) await revokeAttemptTokens(deps, { attempt, tokens }, null)
  }
}

type Holder = typeof connectedAccounts.$inferSelect & { grantId: string; version: number }

// The other user to whom the account is connected, with the pair that the approval has ended.
async function lockHolder(deps: Deps, userId: string, providerAccountId: string): Promise<Holder | null> {
  const [account] = await deps.db
    .select()
    .from(connectedAccounts)
    .where(
      and(
        eq(connectedAccounts.provider, 'X'),
        eq(connectedAccounts.providerAccountId, providerAccountId),
        ne(connectedAccounts.status, 'DISCONNECTED'),
        ne(connectedAccounts.userId, userId),
      ),
    )
    .for('no key update')
  if (account === undefined) return null
  const [tokens] = await deps.db
    .select({ grantId: oauthTokens.grantId, version: oauthTokens.version })
    .from(oauthTokens)
    .where(eq(oauthTokens.accountId, account.id))
  return tokens === undefined ? null : { ...account, ...tokens }
}

// The code's own sentence does not say it, and only this person knows what they have just done at
// X.
function withCutConnection(error: AppError, username: string): AppError {
  const cut = `@${username} is connected to another user here, and approving it at X has ended that connection: that user has been told to connect it again.`
  const remedy =
    error.code === 'ACCOUNT_CONNECTED_TO_ANOTHER_USER'
      ? 'Disconnect it there before you connect it here.'
      : error.message
  return new AppError(error.code, { detail: `${cut} ${remedy}`, retryAt: error.retryAt, cause: error })
}
