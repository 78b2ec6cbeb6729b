import { eq } from 'drizzle-orm'
import { type SealContext, seal, UnsealError, unseal } from '../crypto.ts'
import { encryptionCanaries, type oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** Whose tokens: their seal is bound to both. */
export type TokenOwner = { accountId: string; userId: string }

type Column = 'accessTokenSealed' | 'refreshTokenSealed'

/** Seals a token for its column of `oauth_tokens`. */
export function sealToken(deps: Deps, owner: TokenOwner, column: Column, token: string): string {
  return seal(deps.config.encryptionKeys, tokenSealContext(owner, column), token)
}

/** Opens a token of `oauth_tokens`; null where the row has none. @throws UnsealError */
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
 * True for the error of a token that no key will ever open: it was altered, or names a key that never wrote here. False where a key is
 * merely missing, which the operator can bring back.
 */
export async function isUnreadable(deps: Deps, error: unknown): Promise<boolean> {
  if (!(error instanceof UnsealError)) return false
  if (error.keyId === null) return true
  // The bytes of an altered id may be such as no text of the database can hold.
  if (!/^[\w-]{1,32}$/.test(error.keyId)) return true
  return (await deps.db.$count(encryptionCanaries, eq(encryptionCanaries.keyId, error.keyId))) === 0
}

/** Where a token is sealed, for whoever re-seals it under another key. An orphan's too, so that it can be adopted as it is. */
export function tokenSealContext(owner: TokenOwner, column: Column): SealContext {
  const columnName = column === 'accessTokenSealed' ? 'access_token_sealed' : 'refresh_token_sealed'
  return { table: 'oauth_tokens', column: columnName, ...owner }
}
