// The transaction that stores a connection: the account, its tokens, its events, and the end of its
// attempt.
import { and, eq, isNull, notInArray, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { connectedAccounts, grantRevocations, oauthTokens, orphanedTokens } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events/events.ts'
import type { XProfile } from '../x/api.ts'
import { workingStatus } from '../x/scopes.ts'
import { lockAccountHolder } from './account-holder.ts'
import { isAccount, isOrphanOf, isTokensOf } from './account-rows.ts'
import { requireAttemptSession } from './attempt-session.ts'
import { type AttemptWithTokens, updateAttempt } from './attempt-tokens.ts'
import { FRESH } from './refresh-lease.ts'
import { findRefusedConnection } from './refused-connections.ts'
import { sealToken } from './sealed-tokens.ts'

/** An approved grant that is to be stored. */
export type Grant = AttemptWithTokens & { grantId: string; accessToken: string }

/** The result of storing a connection. */
export type StoredConnection =
  | { kind: 'stored' }
  /** Another grant of this account was stored meanwhile; X has to say which one is newer. */
  | { kind: 'conflict'; accountId: string; otherGrantId: string }
  /** The account was approved in a later attempt, which was refused. */
  | { kind: 'superseded'; attemptId: string }
  /** Another process has claimed or finished the attempt. */
  | { kind: 'taken-over' }

/** Rolls the transaction back, which has this result: only `stored` changes anything. */
export class NotStored extends Error {
  readonly result: StoredConnection
  constructor(result: StoredConnection) {
    super(`The connection is not stored: ${result.kind}`)
    this.result = result
  }
}

/**
 * Stores the connection in the transaction of `deps`, which an error rolls back.
 * @param older the grants and attempts that are known to be older than this grant.
 * @throws NotStored, AppError ACCOUNT_CONNECTED_TO_ANOTHER_USER, ACCOUNT_DISCONNECTED and
 * SESSION_MISSING.
 */
export async function writeConnection(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  older: ReadonlySet<string>,
  mismatch: AppError | null,
): Promise<StoredConnection> {
  const { userId, takenAt } = grant.attempt
  const { scopes } = grant.tokens
  const holder = await lockAccountHolder(deps, userId, profile.providerAccountId)
  // An attempt that was refused while this one was under way, for the same account: its approval may
  // have ended this grant.
  const refused = { attemptId: grant.attempt.id, since: takenAt }
  const laterAttemptId = await findRefusedConnection(deps, profile.providerAccountId, refused)
  if (laterAttemptId !== null && !older.has(laterAttemptId))
    throw new NotStored({ kind: 'superseded', attemptId: laterAttemptId })
  if (holder.userId !== userId) throw new AppError('ACCOUNT_CONNECTED_TO_ANOTHER_USER')
  const [user] = await lockUsers(deps.db, [userId])
  if (user === undefined) throw new AppError('SESSION_MISSING')
  await requireAttemptSession(deps, grant.attempt)
  const now = deps.clock.sqlNow()
  const values = {
    ...profile,
    scopes,
    ...workingStatus(scopes),
    statusSince: now,
    connectedAt: now,
    disconnectedAt: null,
  }
  const [inserted] = await deps.db
    .insert(connectedAccounts)
    .values({ userId, provider: 'X', ...values })
    .onConflictDoNothing({
      target: [connectedAccounts.userId, connectedAccounts.provider, connectedAccounts.providerAccountId],
    })
    .returning({ id: connectedAccounts.id })
  const earlier = inserted === undefined ? await lockEarlierConnection(deps, userId, profile.providerAccountId) : null
  // An earlier try was committed, and only its confirmation was lost.
  if (earlier?.grantId === grant.grantId) return { kind: 'stored' }
  if (grant.attempt.status === 'WAITING' && earlier?.disconnectedAt && earlier.disconnectedAt >= takenAt)
    throw new AppError('ACCOUNT_DISCONNECTED')
  if (earlier?.grantId && !older.has(earlier.grantId) && earlier.connectedAt >= takenAt)
    throw new NotStored({ kind: 'conflict', accountId: earlier.id, otherGrantId: earlier.grantId })
  if (earlier !== null) await deps.db.update(connectedAccounts).set(values).where(isAccount(earlier))
  const account = inserted ?? earlier
  if (account === null) throw new Error('Bug: an account is neither inserted nor found')
  await writeTokens(deps, { accountId: account.id, userId }, grant)
  await forgetEarlierGrants(deps, userId, profile.providerAccountId, account.id)
  const about = { userId, accountId: account.id }
  await recordEvent(deps, { ...about, type: connectEventType(earlier), reason: values.statusReason })
  const change = earlier && profileChange(earlier, profile)
  if (change !== null) await recordEvent(deps, { ...about, type: 'account.profile_changed', reason: change })
  await endAttempt(deps, grant, account.id, mismatch)
  return { kind: 'stored' }
}

/**
 * Ends the attempt of a grant as SUCCEEDED, or as FAILED with `mismatch`. Call it last in its
 * transaction: see the lock order in db/user-lock.ts.
 * @throws NotStored
 */
export async function endAttempt(
  deps: Deps,
  grant: Grant,
  accountId: string,
  mismatch: AppError | null,
): Promise<void> {
  const isEnded = await updateAttempt(deps, grant, {
    ...(mismatch === null
      ? { status: 'SUCCEEDED', accountId, errorCode: null, errorDetail: null }
      : { status: 'FAILED', errorCode: mismatch.code, errorDetail: mismatch.message }),
    retryAt: null,
    tokensSealed: null,
    accessExpiresAt: null,
    nextTryAt: null,
    finishedAt: deps.clock.sqlNow(),
  })
  if (!isEnded) throw new NotStored({ kind: 'taken-over' })
}

/** Seals the tokens of a grant for their columns of `oauth_tokens` or `orphaned_tokens`. */
export function sealGrant(deps: Deps, owner: { accountId: string; userId: string }, grant: Grant) {
  const { refreshToken } = grant.tokens
  return {
    accessTokenSealed: sealToken(deps, owner, 'accessTokenSealed', grant.accessToken),
    refreshTokenSealed: refreshToken === null ? null : sealToken(deps, owner, 'refreshTokenSealed', refreshToken),
    accessExpiresAt: sqlIn(deps.clock, grant.expiresInSeconds - (performance.now() - grant.receivedAt) / 1000),
  }
}

async function writeTokens(deps: Deps, owner: { accountId: string; userId: string }, grant: Grant): Promise<void> {
  const now = deps.clock.sqlNow()
  const tokens = {
    ...sealGrant(deps, owner, grant),
    grantId: grant.grantId,
    ...FRESH,
    refreshIssuedAt: now,
    lastEvent: 'ISSUED' as const,
    lastEventAt: now,
  }
  await deps.db
    .insert(oauthTokens)
    .values({ ...owner, ...tokens })
    // A new version and fencing token: a refresh of the old grant that is under way cannot
    // overwrite the new one.
    .onConflictDoUpdate({
      target: [oauthTokens.userId, oauthTokens.accountId],
      set: {
        ...tokens,
        accessExpiresAt: sql`excluded.access_expires_at`,
        refreshIssuedAt: sql`excluded.refresh_issued_at`,
        lastEventAt: sql`excluded.last_event_at`,
        version: sql`${oauthTokens.version} + 1`,
        fencingToken: sql`${oauthTokens.fencingToken} + 1`,
      },
    })
}

type EarlierConnection = typeof connectedAccounts.$inferSelect & { grantId: string | null }

async function lockEarlierConnection(
  deps: Deps,
  userId: string,
  providerAccountId: string,
): Promise<EarlierConnection> {
  const [account] = await deps.db
    .select()
    .from(connectedAccounts)
    .where(
      and(
        eq(connectedAccounts.userId, userId),
        eq(connectedAccounts.provider, 'X'),
        eq(connectedAccounts.providerAccountId, providerAccountId),
      ),
    )
    .for('no key update')
  if (account === undefined) throw new Error('Bug: an account is neither inserted nor found')
  const [tokens] = await deps.db.select({ grantId: oauthTokens.grantId }).from(oauthTokens).where(isTokensOf(account))
  return { ...account, grantId: tokens?.grantId ?? null }
}

function connectEventType(earlier: EarlierConnection | null): NewEvent['type'] {
  if (earlier === null || earlier.status === 'DISCONNECTED') return 'account.connected'
  return earlier.status === 'NEEDS_REAUTH' ? 'account.recovered' : 'account.reconnected'
}

// One reason is enough for several changes: the receiver reads the account.
function profileChange(earlier: EarlierConnection, profile: XProfile): string | null {
  if (earlier.username !== profile.username) return 'USERNAME_CHANGED'
  if (earlier.displayName !== profile.displayName) return 'DISPLAY_NAME_CHANGED'
  return earlier.avatarUrl === profile.avatarUrl ? null : 'AVATAR_CHANGED'
}

// The new authorization has ended all earlier grants of the account, so that revoking one of them
// now could only end the new grant. Where X never said which account a grant belongs to, it may be
// this one. The requests of other users are found obsolete when they are due (revocation.ts).
async function forgetEarlierGrants(
  deps: Deps,
  userId: string,
  providerAccountId: string,
  accountId: string,
): Promise<void> {
  const ofUser = deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(eq(connectedAccounts.userId, userId))
  await deps.db
    .delete(grantRevocations)
    .where(
      and(
        eq(grantRevocations.userId, userId),
        or(
          eq(grantRevocations.accountId, accountId),
          eq(grantRevocations.providerAccountId, providerAccountId),
          and(isNull(grantRevocations.providerAccountId), notInArray(grantRevocations.accountId, ofUser)),
        ),
      ),
    )
  await deps.db.delete(orphanedTokens).where(isOrphanOf({ id: accountId, userId }))
}
