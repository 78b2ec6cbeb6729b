// The transaction that stores a connection: the account, its tokens, its events, and the end of its
// attempt.
import { sqlIn } from '../db/clock.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { NewEvent } from '../events/events.ts'
import type { XProfile } from '../x/api.ts'
import { workingStatus } from '../x/scopes.ts'
import { lockAccountHolder } from './account-holder.ts'
import { requireRoomForAccount } from './account-limit.ts'
import { type AttemptWithTokens, updateAttempt } from './attempt-tokens.ts'
import { writeConnectionRows } from './connection-statement.ts'
import { type EarlierConnection, lockEarlierConnection } from './earlier-connection.ts'
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
 * @throws NotStored, AppError ACCOUNT_CONNECTED_TO_ANOTHER_USER, ACCOUNT_DISCONNECTED,
 * TOO_MANY_ACCOUNTS and SESSION_MISSING.
 */
export async function writeConnection(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  older: ReadonlySet<string>,
  mismatch: AppError | null,
): Promise<StoredConnection> {
  const { userId, takenAt } = grant.attempt
  const holder = await lockAccountHolder(deps, userId, profile.providerAccountId)
  // An attempt that was refused while this one was under way, for the same account: its approval
  // may have ended this grant.
  const refused = { attemptId: grant.attempt.id, since: takenAt }
  const laterAttemptId = await findRefusedConnection(deps, profile.providerAccountId, refused)
  if (laterAttemptId !== null && !older.has(laterAttemptId))
    throw new NotStored({ kind: 'superseded', attemptId: laterAttemptId })
  if (holder.userId !== userId) throw new AppError('ACCOUNT_CONNECTED_TO_ANOTHER_USER')
  // A user who did not have the account has mostly never had it, so that there is nothing to read.
  if (holder.isNew && grant.attempt.status === 'PENDING') {
    const written = await write(deps, profile, grant, null, mismatch, true)
    if (written !== null) return written
  }
  if (holder.isNew) await requireRoomForAccount(deps, userId)
  const earlier = await lockEarlierConnection(deps, grant.attempt, profile.providerAccountId)
  // An earlier try was committed, and only its confirmation was lost.
  if (earlier?.grantId === grant.grantId) return { kind: 'stored' }
  if (grant.attempt.status === 'WAITING' && earlier?.disconnectedAt && earlier.disconnectedAt >= takenAt)
    throw new AppError('ACCOUNT_DISCONNECTED')
  if (earlier?.grantId && !older.has(earlier.grantId) && earlier.connectedAt >= takenAt)
    throw new NotStored({ kind: 'conflict', accountId: earlier.id, otherGrantId: earlier.grantId })
  const written = await write(deps, profile, grant, earlier, mismatch, false)
  if (written === null) throw new Error('Bug: an account is neither inserted nor found')
  return written
}

// Returns null when nothing was written: the user or the session is gone, the account was not new,
// or, with `needsRoom`, the user is near the limit of accounts.
async function write(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  earlier: EarlierConnection | null,
  mismatch: AppError | null,
  needsRoom: boolean,
): Promise<StoredConnection | null> {
  const { userId } = grant.attempt
  const { scopes } = grant.tokens
  const accountId = earlier?.id ?? crypto.randomUUID()
  const now = deps.clock.sqlNow()
  const status = workingStatus(scopes)
  const about = { userId, accountId }
  const change = earlier && profileChange(earlier, profile)
  const result = await writeConnectionRows(deps, grant, {
    accountId,
    isNew: earlier === null,
    needsRoom,
    account: { ...profile, scopes, ...status, statusSince: now, connectedAt: now, disconnectedAt: null },
    tokens: {
      ...sealGrant(deps, about, grant),
      grantId: grant.grantId,
      ...FRESH,
      refreshIssuedAt: now,
      lastEvent: 'ISSUED',
      lastEventAt: now,
    },
    end: endColumns(deps, accountId, mismatch),
    events: [
      { ...about, type: connectEventType(earlier), reason: status.statusReason },
      ...(change === null ? [] : [{ ...about, type: 'account.profile_changed' as const, reason: change }]),
    ],
  })
  if (result === 'taken-over') throw new NotStored({ kind: 'taken-over' })
  return result === 'written' ? { kind: 'stored' } : null
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
  const isEnded = await updateAttempt(deps, grant, endColumns(deps, accountId, mismatch))
  if (!isEnded) throw new NotStored({ kind: 'taken-over' })
}

function endColumns(deps: Deps, accountId: string, mismatch: AppError | null) {
  return {
    ...(mismatch === null
      ? { status: 'SUCCEEDED' as const, accountId, errorCode: null, errorDetail: null }
      : { status: 'FAILED' as const, errorCode: mismatch.code, errorDetail: mismatch.message }),
    retryAt: null,
    tokensSealed: null,
    accessExpiresAt: null,
    nextTryAt: null,
    finishedAt: deps.clock.sqlNow(),
  }
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
