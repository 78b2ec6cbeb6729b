import { eq, inArray, sql } from 'drizzle-orm'
import { connectedAccounts, grantRevocations, oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, sqlIn, transaction, violates } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { XProfile } from './api.ts'
import { PERSON_WAITS_SECONDS, persistently } from './persistently.ts'
import { FRESH } from './rotation-claim.ts'
import { missingScopes } from './scopes.ts'
import { sealToken } from './sealed-tokens.ts'
import type { IssuedTokens } from './token-answer.ts'

/** What an authorization code was exchanged for. */
export type FreshTokens = IssuedTokens & { accessToken: string }

/**
 * Stores a link with its tokens: a new account, or the user's own one with its tokens replaced.
 * @returns the account's id. Nothing that can fail comes after the row is written: whoever sees this throw may discard the grant.
 * @throws AppError ACCOUNT_LINKED_TO_ANOTHER_USER, decided by the database when two users finish at the same instant.
 */
export async function storeLink(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  issued: FreshTokens,
): Promise<string> {
  const receivedAt = performance.now()
  try {
    return await persistently(
      deps,
      'store a linked account',
      () => transaction(deps, (deps) => upsert(deps, userId, profile, scopes, issued, receivedAt)),
      PERSON_WAITS_SECONDS,
    )
  } catch (error) {
    if (violates(error, 'connected_accounts_one_live'))
      throw new AppError('ACCOUNT_LINKED_TO_ANOTHER_USER', { cause: error })
    throw error
  }
}

async function upsert(
  deps: Deps,
  userId: string,
  profile: XProfile,
  scopes: string[],
  issued: FreshTokens,
  receivedAt: number,
): Promise<string> {
  const now = deps.clock.sqlNow()
  const limited = missingScopes({ scopes }).length > 0
  const values = {
    ...profile,
    scopes,
    status: limited ? ('LIMITED' as const) : ('ACTIVE' as const),
    statusReason: limited ? ('SCOPES_NOT_GRANTED' as const) : null,
    statusSince: now,
    connectedAt: now,
    disconnectedAt: null,
  }
  const [account] = await deps.db
    .insert(connectedAccounts)
    .values({ userId, provider: 'X', ...values })
    .onConflictDoUpdate({
      target: [connectedAccounts.userId, connectedAccounts.provider, connectedAccounts.providerAccountId],
      set: values,
    })
    .returning({ id: connectedAccounts.id })
  if (account === undefined) throw new Error('Bug: an upsert returned no row')
  const owner = { accountId: account.id, userId }
  const tokens = {
    accessTokenSealed: sealToken(deps, owner, 'accessTokenSealed', issued.accessToken),
    refreshTokenSealed:
      issued.refreshToken === null ? null : sealToken(deps, owner, 'refreshTokenSealed', issued.refreshToken),
    accessExpiresAt: sqlIn(deps.clock, issued.expiresInSeconds - (performance.now() - receivedAt) / 1000),
    grantId: crypto.randomUUID(),
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
  return account.id
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
