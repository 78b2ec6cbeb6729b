// Stores an approved connection. X keeps one grant for each account and app, so that of two
// approvals of one account X has ended the earlier. When two attempts finish at the same time, the
// order of the approvals is not known here, and X's response to the access token decides.
import { and, eq } from 'drizzle-orm'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { oauthTokens, orphanedTokens } from '../db/tables.ts'
import { isUserGone } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { fetchMe, type XProfile } from '../x/api.ts'
import { isTokensOf } from './account-rows.ts'
import { requireAttemptSession } from './attempt-session.ts'
import type { AttemptWithTokens } from './attempt-tokens.ts'
import {
  endAttempt,
  type Grant,
  NotStored,
  type StoredConnection,
  sealGrant,
  writeConnection,
} from './write-connection.ts'

/**
 * Stores a connection with its tokens and ends its attempt, in one transaction: a new account, or
 * the user's existing one with its tokens replaced. If the user has connected the account in two
 * attempts at once, the grant that X still accepts is kept, in whatever order the attempts finish.
 * @param mismatch the error with which the attempt ends although the tokens are stored: the account
 * is another one of the user's than the attempt named.
 * @returns 'taken-over' when another process has finished the attempt; 'dead' when X has ended the
 * grant; 'undecided' when X cannot say at the moment. Nothing is stored in these cases.
 * @throws AppError ACCOUNT_CONNECTED_TO_ANOTHER_USER, for all but one of the users who finish at
 * the same instant; SESSION_MISSING when the user was deleted or the session has ended; ACCOUNT_DISCONNECTED when the user
 * has disconnected the account since.
 */
export async function storeConnection(
  deps: Deps,
  claimed: AttemptWithTokens,
  profile: XProfile,
  mismatch: AppError | null,
): Promise<'stored' | 'taken-over' | 'dead' | 'undecided'> {
  const { accessToken } = claimed.tokens
  if (accessToken === null) throw new Error('Bug: a profile was read without an access token')
  const grant = { ...claimed, accessToken, grantId: crypto.randomUUID() }
  // The grants and attempts that X has ended by this one.
  const older = new Set<string>()
  for (;;) {
    const stored = await store(deps, profile, grant, older, mismatch)
    if (isDecided(stored)) return stored.kind
    const result = await fetchMe(deps, accessToken)
    if (result.kind === 'done') older.add(stored.kind === 'conflict' ? stored.otherGrantId : stored.attemptId)
    else if (stored.kind === 'superseded') return result.kind === 'unauthorized' ? 'dead' : 'undecided'
    else {
      const resolved =
        result.kind === 'unauthorized'
          ? await endAttemptOnly(deps, grant, stored.accountId, mismatch)
          : await storeAsOrphan(deps, grant, stored, mismatch)
      if (isDecided(resolved)) return resolved.kind
    }
  }
}

function isDecided(stored: StoredConnection): stored is Extract<StoredConnection, { kind: 'stored' | 'taken-over' }> {
  return stored.kind === 'stored' || stored.kind === 'taken-over'
}

async function store(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  older: ReadonlySet<string>,
  mismatch: AppError | null,
): Promise<StoredConnection> {
  try {
    return await retryUntilWritten(
      deps,
      'store a connected account',
      () => transactionUnlessNotStored(deps, (deps) => writeConnection(deps, profile, grant, older, mismatch)),
      PERSON_WAITS_SECONDS,
    )
  } catch (error) {
    if (isUserGone(error)) throw new AppError('SESSION_MISSING', { cause: error })
    throw error
  }
}

// The error is caught within each try: it is no failure of the database, and a retry cannot help.
async function transactionUnlessNotStored(
  deps: Deps,
  write: (deps: Deps) => Promise<StoredConnection>,
): Promise<StoredConnection> {
  try {
    return await transaction(deps, write)
  } catch (error) {
    if (error instanceof NotStored) return error.result
    throw error
  }
}

// X rejects this grant, because the other one is newer: the account is connected by that one.
function endAttemptOnly(
  deps: Deps,
  grant: Grant,
  accountId: string,
  mismatch: AppError | null,
): Promise<StoredConnection> {
  return retryUntilWritten(
    deps,
    'end a connect attempt',
    () =>
      transactionUnlessNotStored(deps, async (deps) => {
        await endAttempt(deps, grant, accountId, mismatch)
        return { kind: 'stored' }
      }),
    PERSON_WAITS_SECONDS,
  )
}

// X could not say which of two grants is valid. This one is stored as an orphan of the other, and
// tried if X rejects that. Returns the conflict unchanged when the other one is gone.
function storeAsOrphan(
  deps: Deps,
  grant: Grant,
  conflict: Extract<StoredConnection, { kind: 'conflict' }>,
  mismatch: AppError | null,
): Promise<StoredConnection> {
  const { accountId, otherGrantId } = conflict
  const owner = { accountId, userId: grant.attempt.userId }
  return transactionUnlessNotStored(deps, async (deps) => {
    await requireAttemptSession(deps, grant.attempt)
    const [other] = await deps.db
      .select({ version: oauthTokens.version, fencingToken: oauthTokens.fencingToken })
      .from(oauthTokens)
      .where(and(isTokensOf({ id: accountId, userId: owner.userId }), eq(oauthTokens.grantId, otherGrantId)))
      .for('update')
    if (other === undefined) return conflict
    await deps.db.insert(orphanedTokens).values({
      ...owner,
      fromVersion: other.version,
      fencingToken: other.fencingToken,
      ...sealGrant(deps, owner, grant),
      createdAt: deps.clock.sqlNow(),
    })
    await endAttempt(deps, grant, accountId, mismatch)
    return { kind: 'stored' }
  })
}
