// The conditions that name the rows of one account: by its user and its id, as their keys do.
import { and, eq, type SQL } from 'drizzle-orm'
import { connectedAccounts, oauthTokens, orphanedTokens } from '../db/tables.ts'

/** The key of an account. */
export type AccountKey = { id: string; userId: string }

/** The condition for the row of an account. */
export function isAccount({ id, userId }: AccountKey): SQL | undefined {
  return and(eq(connectedAccounts.userId, userId), eq(connectedAccounts.id, id))
}

/** The condition for a user's row of an account, by the id of the account at X. */
export function isAccountAtX(userId: string, providerAccountId: string): SQL | undefined {
  return and(
    eq(connectedAccounts.userId, userId),
    eq(connectedAccounts.provider, 'X'),
    eq(connectedAccounts.providerAccountId, providerAccountId),
  )
}

/** The condition for the tokens of an account. */
export function isTokensOf({ id, userId }: AccountKey): SQL | undefined {
  return and(eq(oauthTokens.userId, userId), eq(oauthTokens.accountId, id))
}

/** The condition for the orphaned token pairs of an account. */
export function isOrphanOf({ id, userId }: AccountKey): SQL | undefined {
  return and(eq(orphanedTokens.userId, userId), eq(orphanedTokens.accountId, id))
}

/** The join condition of accounts and their tokens. */
export const hasTokens = and(
  eq(oauthTokens.userId, connectedAccounts.userId),
  eq(oauthTokens.accountId, connectedAccounts.id),
)
