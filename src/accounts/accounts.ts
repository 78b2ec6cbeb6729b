import { and, desc, eq, inArray, ne, type SQL, sql } from 'drizzle-orm'
import { prepareQuery } from '../db/prepared-query.ts'
import { isRowId } from '../db/row-id.ts'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type AccountKey, hasTokens, isAccount } from './account-rows.ts'

/** A connected or disconnected X account, with the state of its tokens; null where it has none. */
export type ConnectedAccount = typeof connectedAccounts.$inferSelect & {
  accessTokenExpiresAt: Date | null
  tokenHealth: TokenHealth | null
}

/** The last event of an account's tokens. Shown to people and monitors; no code depends on it. */
export type TokenHealth = Pick<typeof oauthTokens.$inferSelect, 'lastEvent' | 'lastEventAt' | 'nextTryAt'>

/** Returns the user's accounts, the last connected first. */
export function listConnectedAccounts(
  deps: Deps,
  userId: string,
  { includeDisconnected }: { includeDisconnected: boolean },
): Promise<ConnectedAccount[]> {
  return (includeDisconnected ? listAll : listConnected)(deps, { userId })
}

// The most frequent query.
const listAll = prepareList(undefined)
const listConnected = prepareList(ne(connectedAccounts.status, 'DISCONNECTED'))

function prepareList(isListed: SQL | undefined) {
  return prepareQuery(
    (deps) =>
      selectAccounts(deps)
        .where(and(eq(connectedAccounts.userId, sql.placeholder('userId')), isListed))
        .orderBy(desc(connectedAccounts.connectedAt), desc(connectedAccounts.id)),
    { isShort: true },
  )
}

/** Returns the user's account with this id, or null. */
export async function findConnectedAccount(
  deps: Deps,
  userId: string,
  accountId: string,
): Promise<ConnectedAccount | null> {
  if (!isRowId(accountId)) return null
  const [account] = await selectAccounts(deps).where(isAccount({ id: accountId, userId }))
  return account ?? null
}

/** Returns the user's accounts with these ids, which must be row ids. */
export function listAccountsByIds(
  deps: Deps,
  userId: string,
  accountIds: readonly string[],
): Promise<ConnectedAccount[]> {
  return selectAccounts(deps).where(
    and(eq(connectedAccounts.userId, userId), inArray(connectedAccounts.id, [...accountIds])),
  )
}

/** Returns the provider's id of an account; null when it was deleted with its user. */
export async function findProviderAccountId(deps: Deps, account: AccountKey): Promise<string | null> {
  const [row] = await deps.db
    .select({ providerAccountId: connectedAccounts.providerAccountId })
    .from(connectedAccounts)
    .where(isAccount(account))
  return row?.providerAccountId ?? null
}

/** Sets when an account was last used successfully. */
export async function markUsed(deps: Deps, account: AccountKey): Promise<void> {
  await deps.db.update(connectedAccounts).set({ lastUsedAt: deps.clock.sqlNow() }).where(isAccount(account))
}

function selectAccounts(deps: Pick<Deps, 'db'>) {
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
    .leftJoin(oauthTokens, hasTokens)
    .$dynamic()
}
