import { and, eq, inArray, sql } from 'drizzle-orm'
import { connectedAccounts, grantRevocations, oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, isUserGone, sqlIn, transaction, violates } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events.ts'
import { fetchMe, type XProfile } from './api.ts'
import { PERSON_WAITS_SECONDS, persistently } from './persistently.ts'
import { FRESH } from './rotation-claim.ts'
import { workingStatus } from './scopes.ts'
import { sealToken } from './sealed-tokens.ts'
import type { IssuedTokens } from './token-answer.ts'

/** What an authorization code was exchanged for, and a moment before it was, by the database's clock. */
export type FreshTokens = IssuedTokens & { accessToken: string; askedAt: Date }

type Grant = FreshTokens & { grantId: string; receivedAt: number }
type Stored =
  | { kind: 'stored'; accountId: string }
  /** Nothing is: another link of this account was stored meanwhile, and which grant is the newer one is for X to say. */
  | { kind: 'rivalled'; accountId: string; rivalId: string }

/**
 * Stores a link with its tokens: a new account, or the user's own one with its tokens replaced. Where the user has linked the account
 * twice at once, X has ended one of the two grants: the other is kept, whichever comes here last.
 * @returns the account's id. Nothing that can fail comes after the row is written: whoever sees this throw may discard the grant.
 * @throws AppError ACCOUNT_LINKED_TO_ANOTHER_USER, decided by the database when two users finish at the same instant; SESSION_MISSING
 * when the user is gone.
 */
export async function storeLink(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  issued: FreshTokens,
): Promise<string> {
  const grant = { ...issued, grantId: crypto.randomUUID(), receivedAt: performance.now() }
  let olderGrantId: string | null = null
  for (;;) {
    const stored = await store(deps, userId, profile, scopes, grant, olderGrantId)
    if (stored.kind === 'stored') return stored.accountId
    const { accountId, rivalId } = stored
    const answer = await fetchMe(deps, issued.accessToken)
    if (answer.kind === 'unauthorized') return accountId
    if (answer.kind === 'done') olderGrantId = rivalId
    else if (await keepBeside(deps, { accountId, userId }, rivalId, grant)) return accountId
  }
}

async function store(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  grant: Grant,
  olderGrantId: string | null,
): Promise<Stored> {
  try {
    return await persistently(
      deps,
      'store a linked account',
      () => transaction(deps, (deps) => upsert(deps, userId, profile, scopes, grant, olderGrantId)),
      PERSON_WAITS_SECONDS,
    )
  } catch (error) {
    if (violates(error, 'connected_accounts_one_live'))
      throw new AppError('ACCOUNT_LINKED_TO_ANOTHER_USER', { cause: error })
    if (isUserGone(error)) throw new AppError('SESSION_MISSING', { cause: error })
    throw error
  }
}

// X could not say which of two grants lives: this one is tried should it refuse the other. False when that one is gone already.
async function keepBeside(
  deps: Deps,
  owner: { accountId: string; userId: string },
  rivalId: string,
  grant: Grant,
): Promise<boolean> {
  return transaction(deps, async (deps) => {
    const [rival] = await deps.db
      .select({ version: oauthTokens.version, fence: oauthTokens.fence })
      .from(oauthTokens)
      .where(and(eq(oauthTokens.accountId, owner.accountId), eq(oauthTokens.grantId, rivalId)))
      .for('update')
    if (rival === undefined) return false
    await deps.db.insert(rotationOrphans).values({
      accountId: owner.accountId,
      fromVersion: rival.version,
      fence: rival.fence,
      ...sealPair(deps, owner, grant),
      createdAt: deps.clock.sqlNow(),
    })
    return true
  })
}

async function upsert(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  grant: Grant,
  olderGrantId: string | null,
): Promise<Stored> {
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
  const before = inserted === undefined ? await lockEarlierLink(deps, userId, profile.providerAccountId) : null
  // An earlier try was committed, and only its answer was lost.
  if (before?.grantId === grant.grantId) return { kind: 'stored', accountId: before.id }
  if (before?.grantId && before.grantId !== olderGrantId && before.connectedAt >= grant.askedAt)
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
  await forgetEarlierGrants(deps, profile.providerAccountId, account.id)
  const about = { userId, accountId: account.id }
  await recordEvent(deps, { ...about, type: linkEventType(before), reason: values.statusReason })
  const change = before && profileChange(before, profile)
  if (change !== null) await recordEvent(deps, { ...about, type: 'account.profile_changed', reason: change })
  return { kind: 'stored', accountId: account.id }
}

function sealPair(deps: Deps, owner: { accountId: string; userId: string }, grant: Grant) {
  return {
    accessTokenSealed: sealToken(deps, owner, 'accessTokenSealed', grant.accessToken),
    refreshTokenSealed:
      grant.refreshToken === null ? null : sealToken(deps, owner, 'refreshTokenSealed', grant.refreshToken),
    accessExpiresAt: sqlIn(deps.clock, grant.expiresInSeconds - (performance.now() - grant.receivedAt) / 1000),
  }
}

type EarlierLink = typeof connectedAccounts.$inferSelect & { grantId: string | null }

async function lockEarlierLink(deps: Deps, userId: string, providerAccountId: string): Promise<EarlierLink> {
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

function linkEventType(before: EarlierLink | null): NewEvent['type'] {
  if (before === null || before.status === 'DISCONNECTED') return 'account.connected'
  return before.status === 'NEEDS_REAUTH' ? 'account.recovered' : 'account.reconnected'
}

// The weightiest difference will do: whoever hears of it looks at the account.
function profileChange(before: EarlierLink, profile: XProfile): string | null {
  if (before.username !== profile.username) return 'USERNAME_CHANGED'
  if (before.displayName !== profile.displayName) return 'DISPLAY_NAME_CHANGED'
  return before.avatarUrl === profile.avatarUrl ? null : 'AVATAR_CHANGED'
}

// X keeps one live pair per account and app: the new authorization has ended all earlier grants. Revoking one of them now could only
// hit the new one.
async function forgetEarlierGrants(deps: Deps, providerAccountId: string, accountId: string): Promise<void> {
  const sameAccount = deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(eq(connectedAccounts.providerAccountId, providerAccountId))
  await deps.db.delete(grantRevocations).where(inArray(grantRevocations.accountId, sameAccount))
  await deps.db.delete(rotationOrphans).where(eq(rotationOrphans.accountId, accountId))
}
