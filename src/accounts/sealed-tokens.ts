// Seals the tokens of `oauth_tokens`. The seal context binds a token to its column, account and
// user, so that a sealed token that is copied to another row does not open.
import { eq } from 'drizzle-orm'
import { type SealContext, seal, UnsealError, unseal } from '../crypto.ts'
import { encryptionCanaries, type oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** The account and user that a token's seal is bound to. */
export type TokenOwner = { accountId: string; userId: string }

type Column = 'accessTokenSealed' | 'refreshTokenSealed'

/** Seals a token for its column of `oauth_tokens`. */
export function sealToken(deps: Deps, owner: TokenOwner, column: Column, token: string): string {
  return seal(deps.config.encryptionKeys, tokenSealContext(owner, column), token)
}

/** Opens a token of `oauth_tokens`; null when the row has none. @throws UnsealError */
export function openToken(
  deps: Deps,
  owner: TokenOwner,
  column: Column,
  row: Pick<typeof oauthTokens.$inferSelect, Column>,
): string | null {
  const sealed = row[column]
  return sealed === null ? null : unseal(deps.config.encryptionKeys, tokenSealContext(owner, column), sealed)
}

/**
 * Returns true for the error of a value that no key will ever open: it was altered, or names a key
 * that was never in use here. False when a key is missing that the operator can restore.
 */
export async function isUnreadable(deps: Deps, error: unknown): Promise<boolean> {
  if (!(error instanceof UnsealError)) return false
  if (error.keyId === null) return true
  // An altered key id may contain bytes that no text of the database can.
  if (!/^[\w-]{1,32}$/.test(error.keyId)) return true
  return (await deps.db.$count(encryptionCanaries, eq(encryptionCanaries.keyId, error.keyId))) === 0
}

/**
 * Returns the seal context of a token. Orphaned tokens have the same, so that they can be adopted
 * without re-sealing them.
 */
export function tokenSealContext(owner: TokenOwner, column: Column): SealContext {
  const columnName = column === 'accessTokenSealed' ? 'access_token_sealed' : 'refresh_token_sealed'
  return { table: 'oauth_tokens', column: columnName, ...owner }
}
