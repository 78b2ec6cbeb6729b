// Seals the tokens of `oauth_tokens`. The seal context binds a token to its column, account and
// user, so that a sealed token that is copied to another row does not open.
import { type SealContext, seal } from '../crypto.ts'
import { openSealed } from '../db/sealed-values.ts'
import type { oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** The account and user that a token's seal is bound to. */
export type TokenOwner = { accountId: string; userId: string }

type Column = 'accessTokenSealed' | 'refreshTokenSealed'

/** Seals a token for its column of `oauth_tokens`. */
export function sealToken(deps: Deps, owner: TokenOwner, column: Column, token: string): string {
  return seal(deps.config.encryptionKeys, tokenSealContext(owner, column), token)
}

/**
 * Opens a token of `oauth_tokens`; null when the row has none.
 * @throws UnsealError or EncryptionKeyMissingError, as `openSealed`.
 */
export async function openToken(
  deps: Deps,
  owner: TokenOwner,
  column: Column,
  row: Pick<typeof oauthTokens.$inferSelect, Column>,
): Promise<string | null> {
  const sealed = row[column]
  return sealed === null ? null : openSealed(deps, tokenSealContext(owner, column), sealed)
}

/**
 * Returns the seal context of a token. Orphaned tokens have the same, so that they can be adopted
 * without re-sealing them.
 */
export function tokenSealContext(owner: TokenOwner, column: Column): SealContext {
  const columnName = column === 'accessTokenSealed' ? 'access_token_sealed' : 'refresh_token_sealed'
  return { table: 'oauth_tokens', column: columnName, ...owner }
}
