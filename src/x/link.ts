import { and, eq, inArray, sql } from 'drizzle-orm'
import { connectedAccounts, grantRevocations, oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, isUserGone, sqlIn, transaction, violates } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events.ts'
import type { XProfile } from './api.ts'
import { PERSON_WAITS_SECONDS, persistently } from './persistently.ts'
import { FRESH } from './rotation-claim.ts'
import { workingStatus } from './scopes.ts'
import { sealToken } from './sealed-tokens.ts'
import type { IssuedTokens } from './token-answer.ts'

/** What an authorization code was exchanged for. */
export type FreshTokens = IssuedTokens & { accessToken: string }

/**
 * Stores a link with its tokens: a new account, or the user's own one with its tokens replaced.
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
  const receivedAt = performance.now()
  const grantId = crypto.randomUUID()
  try {
    return await persistently(
      deps,
      'store a linked account',
      () => transaction(deps, (deps) => upsert(deps, userId, profile, scopes, { ...issued, receivedAt, grantId })),
      PERSON_WAITS_SECONDS,
    )
  } catch (error) {
    if (violates(error, 'connected_accounts_one_live'))
      throw new AppError('ACCOUNT_LINKED_TO_ANOTHER_USER', { cause: error })
    if (isUserGone(error)) throw new AppError('SESSION_MISSING', { cause: error })
    throw error
  }
}

async function upsert(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  issued: FreshTokens & { receivedAt: number; grantId: string },
): Promise<string> {
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
  if (before?.grantId === issued.grantId) return before.id
  if (before !== null) await deps.db.update(connectedAccounts).set(values).where(eq(connectedAccounts.id, before.id))
  const account = inserted ?? before
  if (account === null) throw new Error('Bug: an account is neither inserted nor found')
  const owner = { accountId: account.id, userId }
  const tokens = {
    accessTokenSealed: sealToken(deps, owner, 'accessTokenSealed', issued.accessToken),
    refreshTokenSealed:
      issued.refreshToken === null ? null : sealToken(deps, owner, 'refreshTokenSealed', issued.refreshToken),
    accessExpiresAt: sqlIn(deps.clock, issued.expiresInSeconds - (performance.now() - issued.receivedAt) / 1000),
    grantId: issued.grantId,
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
  return account.id
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
