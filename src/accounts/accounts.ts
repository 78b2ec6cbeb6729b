import { and, desc, eq, exists, inArray, isNotNull, ne, sql } from 'drizzle-orm'
import { UnsealError } from '../crypto.ts'
import { isRowId } from '../db/row-id.ts'
import { connectedAccounts, oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { workingStatus } from '../x/scopes.ts'
import { requestRevocation } from './revocation.ts'
import { openToken } from './sealed-tokens.ts'

/** A linked X account, with when its access token ends and what last happened to its tokens (null when it holds none). */
export type ConnectedAccount = typeof connectedAccounts.$inferSelect & {
  accessTokenExpiresAt: Date | null
  tokenHealth: TokenHealth | null
}

/** What last happened to an account's tokens: for people and monitors, it decides nothing. */
export type TokenHealth = Pick<typeof oauthTokens.$inferSelect, 'lastEvent' | 'lastEventAt' | 'nextTryAt'>

/** The user's accounts, newest first. */
export function listConnectedAccounts(
  deps: Deps,
  userId: string,
  { includeDisconnected }: { includeDisconnected: boolean },
): Promise<ConnectedAccount[]> {
  return selectAccounts(deps)
    .where(
      and(
        eq(connectedAccounts.userId, userId),
        includeDisconnected ? undefined : ne(connectedAccounts.status, 'DISCONNECTED'),
      ),
    )
    .orderBy(desc(connectedAccounts.connectedAt), desc(connectedAccounts.id))
}

/** The user's account with this id, or null. */
export async function findConnectedAccount(
  deps: Deps,
  userId: string,
  accountId: string,
): Promise<ConnectedAccount | null> {
  if (!isRowId(accountId)) return null
  const [account] = await selectAccounts(deps).where(
    and(eq(connectedAccounts.userId, userId), eq(connectedAccounts.id, accountId)),
  )
  return account ?? null
}

/** Accounts by id, for whoever holds rows that point to them. */
export function listAccountsByIds(deps: Deps, accountIds: readonly string[]): Promise<ConnectedAccount[]> {
  return selectAccounts(deps).where(inArray(connectedAccounts.id, [...accountIds]))
}

/**
 * Unlinks an account: its tokens are gone from here at once, and a job revokes the grant at X, for as long as that takes.
 * An account that is disconnected already stays so.
 * @throws AppError ACCOUNT_NOT_FOUND
 */
export async function disconnectAccount(deps: Deps, userId: string, accountId: string): Promise<ConnectedAccount> {
  const account = await findConnectedAccount(deps, userId, accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'accountId'] })
  await transaction(deps, async (deps) => {
    // The account before its tokens, as linking does: the other way round the two could wait for each other. Held even when it is
    // disconnected already: linking again may be about to bring it back, with tokens that must not go while it stays.
    const [held] = await deps.db
      .select({ status: connectedAccounts.status })
      .from(connectedAccounts)
      .where(eq(connectedAccounts.id, account.id))
      .for('no key update')
    if (held?.status === 'DISCONNECTED') return
    await deps.db
      .update(connectedAccounts)
      .set({
        status: 'DISCONNECTED',
        statusReason: 'DISCONNECTED_BY_USER',
        statusSince: deps.clock.sqlNow(),
        disconnectedAt: deps.clock.sqlNow(),
      })
      .where(eq(connectedAccounts.id, account.id))
    await recordEvent(deps, {
      type: 'account.disconnected',
      userId,
      accountId: account.id,
      reason: 'DISCONNECTED_BY_USER',
    })
    // Deleting the row wins over a refresh in flight: its commit finds nothing to update, and revokes what it brought.
    const [tokens] = await deps.db.delete(oauthTokens).where(eq(oauthTokens.accountId, account.id)).returning()
    if (tokens !== undefined)
      await requestRevocationOf(deps, account, tokens, tokens.sentAt !== null || tokens.state !== 'ACTIVE')
    // Newer than those, and with nobody to adopt them any more.
    const orphans = await deps.db.delete(rotationOrphans).where(eq(rotationOrphans.accountId, account.id)).returning()
    for (const orphan of orphans) await requestRevocationOf(deps, account, orphan, false)
  })
  const disconnected = await findConnectedAccount(deps, userId, accountId)
  if (disconnected === null) throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'accountId'] })
  return disconnected
}

/** Notes that an account has just been used successfully. */
export async function markUsed(deps: Deps, accountId: string): Promise<void> {
  await deps.db
    .update(connectedAccounts)
    .set({ lastUsedAt: deps.clock.sqlNow() })
    .where(eq(connectedAccounts.id, accountId))
}

/** Says that only the user can help an account; unless its tokens were replaced after `seen`. */
export async function markNeedsReauth(
  deps: Pick<Deps, 'db' | 'clock'> & { log: Deps['log'] | null },
  accountId: string,
  seen: { version: number; grantId: string },
  reason: 'GRANT_REVOKED' | 'REFRESH_LOST' | 'REFRESH_TOKEN_MISSING' | 'TOKENS_UNREADABLE',
): Promise<void> {
  const unchanged = deps.db
    .select({ accountId: oauthTokens.accountId })
    .from(oauthTokens)
    .where(
      and(
        eq(oauthTokens.accountId, accountId),
        eq(oauthTokens.version, seen.version),
        eq(oauthTokens.grantId, seen.grantId),
      ),
    )
  await transaction(deps, async (deps) => {
    const [marked] = await deps.db
      .update(connectedAccounts)
      .set({ status: 'NEEDS_REAUTH', statusReason: reason, statusSince: deps.clock.sqlNow() })
      // Who comes later knows no better: the first reason stays, and since when.
      .where(and(eq(connectedAccounts.id, accountId), ne(connectedAccounts.status, 'NEEDS_REAUTH'), exists(unchanged)))
      .returning({ userId: connectedAccounts.userId })
    if (marked === undefined) return
    await recordEvent(deps, { type: 'account.needs_reauth', userId: marked.userId, accountId, reason })
    deps.log?.warn({ accountId, reason }, 'An account needs its user: it has to be linked again')
  })
}

/**
 * Says of a connected account that X has ended its pair by a later approval, as `markNeedsReauth`
 * does. The pair is then tried once more by the sweep: X's rule is documented, and its word
 * decides. Call it in a transaction that has locked the account.
 */
export async function markSuperseded(
  deps: Deps,
  { id, version, grantId }: { id: string; version: number; grantId: string },
): Promise<void> {
  await markNeedsReauth(deps, id, { version, grantId }, 'GRANT_REVOKED')
  await deps.db
    .update(oauthTokens)
    .set({ state: 'UNCERTAIN', cause: sql`coalesce(${oauthTokens.cause}, 'SUPERSEDED')`, nextTryAt: null })
    .where(
      and(
        eq(oauthTokens.accountId, id),
        eq(oauthTokens.grantId, grantId),
        eq(oauthTokens.state, 'ACTIVE'),
        isNotNull(oauthTokens.refreshTokenSealed),
      ),
    )
}

type LockedAccount = Pick<typeof connectedAccounts.$inferSelect, 'id' | 'userId' | 'status' | 'scopes'>

/** Locks an account for the transaction, before its tokens: the other way round two could wait for each other. Null when it is gone. */
export async function lockAccount(deps: Deps, accountId: string): Promise<LockedAccount | null> {
  const [account] = await deps.db
    .select()
    .from(connectedAccounts)
    .where(eq(connectedAccounts.id, accountId))
    .for('no key update')
  return account ?? null
}

/** Says that an account works again, in the transaction that stores its new pair. One that was never given up stays as it is. */
export async function markRecovered(deps: Deps, account: LockedAccount): Promise<void> {
  if (account.status !== 'NEEDS_REAUTH') return
  const { id: accountId, userId } = account
  const now = workingStatus(account.scopes)
  await deps.db
    .update(connectedAccounts)
    .set({ ...now, statusSince: deps.clock.sqlNow() })
    .where(eq(connectedAccounts.id, accountId))
  await recordEvent(deps, { type: 'account.recovered', userId, accountId, reason: now.statusReason })
}

async function requestRevocationOf(
  deps: Deps,
  account: ConnectedAccount,
  tokens: Pick<typeof oauthTokens.$inferSelect, 'accessTokenSealed' | 'refreshTokenSealed'>,
  maybeSpent: boolean,
): Promise<void> {
  const owner = { accountId: account.id, userId: account.userId }
  const open = (column: 'refreshTokenSealed' | 'accessTokenSealed') => {
    try {
      return openToken(deps, owner, column, tokens)
    } catch (error) {
      // Unlinking must not fail for a token that nobody can read any more.
      if (!(error instanceof UnsealError)) throw error
      deps.log.error({ error, accountId: account.id }, 'A token of a disconnected account could not be read')
      return null
    }
  }
  const refreshToken = open('refreshTokenSealed')
  if (refreshToken !== null) await requestRevocation(deps, owner, refreshToken, 'refresh_token')
  // A refresh token that may be spent may not lead X to the grant any more; the access token still does.
  const accessToken = refreshToken === null || maybeSpent ? open('accessTokenSealed') : null
  if (accessToken) await requestRevocation(deps, owner, accessToken, 'access_token')
}

function selectAccounts(deps: Deps) {
  return deps.db
    .select({
      id: connectedAccounts.id,
      userId: connectedAccounts.userId,
      provider: connectedAccounts.provider,
      providerAccountId: connectedAccounts.providerAccountId,
      username: connectedAccounts.username,
      displayName: connectedAccounts.displayName,
      avatarUrl: connectedAccounts.avatarUrl,
      subscriptionType: connectedAccounts.subscriptionType,
      scopes: connectedAccounts.scopes,
      status: connectedAccounts.status,
      statusReason: connectedAccounts.statusReason,
      statusSince: connectedAccounts.statusSince,
      connectedAt: connectedAccounts.connectedAt,
      lastUsedAt: connectedAccounts.lastUsedAt,
      disconnectedAt: connectedAccounts.disconnectedAt,
      accessTokenExpiresAt: oauthTokens.accessExpiresAt,
      tokenHealth: {
        lastEvent: oauthTokens.lastEvent,
        lastEventAt: oauthTokens.lastEventAt,
        nextTryAt: oauthTokens.nextTryAt,
      },
    })
    .from(connectedAccounts)
    .leftJoin(oauthTokens, eq(oauthTokens.accountId, connectedAccounts.id))
    .$dynamic()
}
