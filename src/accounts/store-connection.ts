import { and, desc, eq, gte, inArray, isNull, ne, notInArray, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { connectAttempts, connectedAccounts, grantRevocations, oauthTokens, rotationOrphans } from '../db/tables.ts'
import { isUserGone, violates } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events/events.ts'
import { fetchMe, type XProfile } from '../x/api.ts'
import { workingStatus } from '../x/scopes.ts'
import { type AttemptWithTokens, updateAttempt } from './attempt-tokens.ts'
import { FRESH } from './refresh-lease.ts'
import { sealToken } from './sealed-tokens.ts'

type Grant = AttemptWithTokens & { grantId: string; accessToken: string }
type Stored =
  | { kind: 'stored' }
  /**
   * Nothing is stored: another connection of this account was stored meanwhile, and X has to tell
   * which grant is the newer one.
   */
  | { kind: 'rivalled'; accountId: string; rivalId: string }
  /** Nothing is stored: the account was approved in a later attempt, which was refused. */
  | { kind: 'outrun'; attemptId: string }
  /** Nothing is stored: another process has the attempt. */
  | { kind: 'lost' }

/**
 * Stores a connection with its tokens, and ends its attempt, in one transaction: a new account, or
 * the user's own one with its tokens replaced. Where the user has connected the account twice at
 * once, X has ended one of the two grants: the other is kept, whichever comes here last.
 * @param mismatch why the attempt fails all the same: this is another account of the user than the
 * one asked for.
 * @returns 'lost' where another process has finished the attempt; 'dead' where X has ended the
 * pair; 'undecided' where X cannot say just now. Nothing is stored in these cases.
 * @throws AppError ACCOUNT_CONNECTED_TO_ANOTHER_USER, decided by the database when two users finish at the same instant; SESSION_MISSING
 * when the user is gone; ACCOUNT_DISCONNECTED when the user has disconnected the account since.
 */
export async function storeConnection(
  deps: Deps,
  kept: AttemptWithTokens,
  profile: XProfile,
  mismatch: AppError | null,
): Promise<'stored' | 'lost' | 'dead' | 'undecided'> {
  const { accessToken } = kept.tokens
  if (accessToken === null) throw new Error('Bug: a profile was read without an access token')
  const grant = { ...kept, accessToken, grantId: crypto.randomUUID() }
  const older = new Set<string>()
  for (;;) {
    const stored = await store(deps, profile, grant, older, mismatch)
    if (isDecided(stored)) return stored.kind
    const answer = await fetchMe(deps, accessToken)
    if (answer.kind === 'done') older.add(stored.kind === 'rivalled' ? stored.rivalId : stored.attemptId)
    else if (stored.kind === 'outrun') return answer.kind === 'unauthorized' ? 'dead' : 'undecided'
    else {
      const beside =
        answer.kind === 'unauthorized'
          ? await endBeside(deps, grant, stored.accountId, mismatch)
          : await keepBeside(deps, grant, stored, mismatch)
      if (isDecided(beside)) return beside.kind
    }
  }
}

function isDecided(stored: Stored): stored is Extract<Stored, { kind: 'stored' | 'lost' }> {
  return stored.kind === 'stored' || stored.kind === 'lost'
}

/**
 * Lets one connection of an X account be decided at a time, for the transaction of `deps`: of two,
 * one could not know of the other.
 */
export async function lockXAccount(deps: Deps, providerAccountId: string): Promise<void> {
  await deps.db.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`x-account:${providerAccountId}`}, 0))`)
}

async function store(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  older: ReadonlySet<string>,
  mismatch: AppError | null,
): Promise<Stored> {
  try {
    return await retryUntilWritten(
      deps,
      'store a linked account',
      () => transactionUnlessLost(deps, (deps) => upsert(deps, profile, grant, older, mismatch)),
      PERSON_WAITS_SECONDS,
    )
  } catch (error) {
    if (violates(error, 'connected_accounts_one_live'))
      throw new AppError('ACCOUNT_CONNECTED_TO_ANOTHER_USER', { cause: error })
    if (isUserGone(error)) throw new AppError('SESSION_MISSING', { cause: error })
    throw error
  }
}

/**
 * Rolls a transaction back: the attempt is another process's, or finished by an earlier try of this
 * one.
 */
class Lost extends Error {}

// Caught within each try: that the attempt is lost is no failure of the database, and not worth
// another.
async function transactionUnlessLost(deps: Deps, write: (deps: Deps) => Promise<Stored>): Promise<Stored> {
  try {
    return await transaction(deps, write)
  } catch (error) {
    if (error instanceof Lost) return { kind: 'lost' }
    throw error
  }
}

// Last in its transaction: deleting a user locks the user before their attempts, and so does
// storing an account.
async function endAttempt(deps: Deps, grant: Grant, accountId: string, mismatch: AppError | null): Promise<void> {
  const ended = await updateAttempt(deps, grant, {
    ...(mismatch === null
      ? { status: 'SUCCEEDED', accountId, errorCode: null, errorDetail: null }
      : { status: 'FAILED', errorCode: mismatch.code, errorDetail: mismatch.message }),
    retryAt: null,
    tokensSealed: null,
    accessExpiresAt: null,
    nextTryAt: null,
    finishedAt: deps.clock.sqlNow(),
  })
  if (!ended) throw new Lost()
}

// X has replaced this pair by the one that is stored: the account is connected all the same.
function endBeside(deps: Deps, grant: Grant, accountId: string, mismatch: AppError | null): Promise<Stored> {
  return retryUntilWritten(
    deps,
    'write down that an account was linked',
    () =>
      transactionUnlessLost(deps, async (deps) => {
        await endAttempt(deps, grant, accountId, mismatch)
        return { kind: 'stored' }
      }),
    PERSON_WAITS_SECONDS,
  )
}

// X could not say which of two grants lives: this one is tried should it refuse the other. Rivalled
// where that one is gone already.
function keepBeside(
  deps: Deps,
  grant: Grant,
  rivalled: Extract<Stored, { kind: 'rivalled' }>,
  mismatch: AppError | null,
): Promise<Stored> {
  const { accountId, rivalId } = rivalled
  const owner = { accountId, userId: grant.attempt.userId }
  return transactionUnlessLost(deps, async (deps) => {
    const [rival] = await deps.db
      .select({ version: oauthTokens.version, fence: oauthTokens.fence })
      .from(oauthTokens)
      .where(and(eq(oauthTokens.accountId, accountId), eq(oauthTokens.grantId, rivalId)))
      .for('update')
    if (rival === undefined) return rivalled
    await deps.db.insert(rotationOrphans).values({
      accountId,
      fromVersion: rival.version,
      fence: rival.fence,
      ...sealPair(deps, owner, grant),
      createdAt: deps.clock.sqlNow(),
    })
    await endAttempt(deps, grant, accountId, mismatch)
    return { kind: 'stored' }
  })
}

async function upsert(
  deps: Deps,
  profile: XProfile,
  grant: Grant,
  older: ReadonlySet<string>,
  mismatch: AppError | null,
): Promise<Stored> {
  const { userId, takenAt } = grant.attempt
  const { scopes } = grant.tokens
  await lockXAccount(deps, profile.providerAccountId)
  const outrunBy = await findLaterApproval(deps, grant, profile.providerAccountId)
  if (outrunBy !== null && !older.has(outrunBy)) return { kind: 'outrun', attemptId: outrunBy }
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
  const before = inserted === undefined ? await lockEarlierConnection(deps, userId, profile.providerAccountId) : null
  // An earlier try was committed, and only its response was lost.
  if (before?.grantId === grant.grantId) return { kind: 'stored' }
  if (grant.attempt.status === 'WAITING' && before?.disconnectedAt && before.disconnectedAt >= takenAt)
    throw new AppError('ACCOUNT_DISCONNECTED')
  if (before?.grantId && !older.has(before.grantId) && before.connectedAt >= takenAt)
    return { kind: 'rivalled', accountId: before.id, rivalId: before.grantId }
  if (before !== null) await deps.db.update(connectedAccounts).set(values).where(eq(connectedAccounts.id, before.id))
  const account = inserted ?? before
  if (account === null) throw new Error('Bug: an account is neither inserted nor found')
  const owner = { accountId: account.id, userId }
  const tokens = {
    ...sealPair(deps, owner, grant),
    grantId: grant.grantId,
    ...FRESH,
    refreshIssuedAt: now,
    lastEvent: 'ISSUED' as const,
    lastEventAt: now,
  }
  await deps.db
    .insert(oauthTokens)
    .values({ accountId: account.id, ...tokens })
    // Another version and fence: a refresh of the old grant that is still in flight cannot overwrite the new one.
    .onConflictDoUpdate({
      target: oauthTokens.accountId,
      set: { ...tokens, version: sql`${oauthTokens.version} + 1`, fence: sql`${oauthTokens.fence} + 1` },
    })
  await forgetEarlierGrants(deps, userId, profile.providerAccountId, account.id)
  const about = { userId, accountId: account.id }
  await recordEvent(deps, { ...about, type: connectEventType(before), reason: values.statusReason })
  const change = before && profileChange(before, profile)
  if (change !== null) await recordEvent(deps, { ...about, type: 'account.profile_changed', reason: change })
  await endAttempt(deps, grant, account.id, mismatch)
  return { kind: 'stored' }
}

// The same account, approved in another attempt since this one was under way, and refused there: X
// may have ended this pair.
async function findLaterApproval(deps: Deps, { attempt }: Grant, providerAccountId: string): Promise<string | null> {
  const [later] = await deps.db
    .select({ id: connectAttempts.id })
    .from(connectAttempts)
    .where(
      and(
        eq(connectAttempts.providerAccountId, providerAccountId),
        eq(connectAttempts.status, 'FAILED'),
        ne(connectAttempts.id, attempt.id),
        gte(connectAttempts.finishedAt, attempt.takenAt),
      ),
    )
    .orderBy(desc(connectAttempts.finishedAt))
    .limit(1)
  return later?.id ?? null
}

function sealPair(deps: Deps, owner: { accountId: string; userId: string }, grant: Grant) {
  return {
    accessTokenSealed: sealToken(deps, owner, 'accessTokenSealed', grant.accessToken),
    refreshTokenSealed:
      grant.tokens.refreshToken === null
        ? null
        : sealToken(deps, owner, 'refreshTokenSealed', grant.tokens.refreshToken),
    accessExpiresAt: sqlIn(deps.clock, grant.expiresInSeconds - (performance.now() - grant.receivedAt) / 1000),
  }
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
  const [tokens] = await deps.db
    .select({ grantId: oauthTokens.grantId })
    .from(oauthTokens)
    .where(eq(oauthTokens.accountId, account.id))
  return { ...account, grantId: tokens?.grantId ?? null }
}

function connectEventType(before: EarlierConnection | null): NewEvent['type'] {
  if (before === null || before.status === 'DISCONNECTED') return 'account.connected'
  return before.status === 'NEEDS_REAUTH' ? 'account.recovered' : 'account.reconnected'
}

// The weightiest difference will do: whoever hears of it looks at the account.
function profileChange(before: EarlierConnection, profile: XProfile): string | null {
  if (before.username !== profile.username) return 'USERNAME_CHANGED'
  if (before.displayName !== profile.displayName) return 'DISPLAY_NAME_CHANGED'
  return before.avatarUrl === profile.avatarUrl ? null : 'AVATAR_CHANGED'
}

// X keeps one live pair per account and app: the new authorization has ended all earlier grants. Revoking one of them now could only
// hit the new one. Of a grant whose account X never told, this one may be the successor.
async function forgetEarlierGrants(
  deps: Deps,
  userId: string,
  providerAccountId: string,
  accountId: string,
): Promise<void> {
  const sameAccount = deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(eq(connectedAccounts.providerAccountId, providerAccountId))
  const ofUser = deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(eq(connectedAccounts.userId, userId))
  await deps.db
    .delete(grantRevocations)
    .where(
      or(
        inArray(grantRevocations.accountId, sameAccount),
        eq(grantRevocations.providerAccountId, providerAccountId),
        and(
          isNull(grantRevocations.providerAccountId),
          eq(grantRevocations.userId, userId),
          notInArray(grantRevocations.accountId, ofUser),
        ),
      ),
    )
  await deps.db.delete(rotationOrphans).where(eq(rotationOrphans.accountId, accountId))
}
