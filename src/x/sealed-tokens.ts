import { type SealedPlace, seal, unseal } from '../crypto.ts'
import type { oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** Whose tokens: their seal is bound to both. */
export type TokenOwner = { accountId: string; userId: string }

type Column = 'accessTokenSealed' | 'refreshTokenSealed'

/** Seals a token for its column of `oauth_tokens`. */
export function sealToken(deps: Deps, owner: TokenOwner, column: Column, token: string): string {
  return seal(deps.config.encryptionKeys, tokenPlace(owner, column), token)
}

/** Opens a token of `oauth_tokens`; null where the row has none. @throws UnsealError */
export function openToken(
  deps: Deps,
  owner: TokenOwner,
  column: Column,
  row: Pick<typeof oauthTokens.$inferSelect, Column>,
): string | null {
  const sealed = row[column]
  return sealed === null ? null : unseal(deps.config.encryptionKeys, tokenPlace(owner, column), sealed)
}

/** Where a token is sealed, for whoever re-seals it under another key. An orphan's too, so that it can be adopted as it is. */
export function tokenPlace(owner: TokenOwner, column: Column): SealedPlace {
  const columnName = column === 'accessTokenSealed' ? 'access_token_sealed' : 'refresh_token_sealed'
  return { table: 'oauth_tokens', column: columnName, ...owner }
}
