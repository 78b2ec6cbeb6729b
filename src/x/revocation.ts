// Grants to be revoked at X. The request is a row written in the transaction that stops using the grant, so that a user gets away
// even while X is down; a job goes on until X has confirmed.
import { eq } from 'drizzle-orm'
import { revokeToken } from '../auth/oauth.ts'
import { type SealedPlace, seal, unseal } from '../crypto.ts'
import { grantRevocations } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { xApp } from './api.ts'

/** A refresh token lives about six months; after that there is nothing left to revoke. */
export const REVOCATION_WORTH_SECONDS = 183 * 86_400

/** Asks for a grant to be revoked. Call it inside the transaction that makes the token unusable here. */
export async function requestRevocation(
  deps: Deps,
  owner: { accountId: string; userId: string },
  token: string,
  tokenTypeHint: 'refresh_token' | 'access_token',
): Promise<void> {
  const id = crypto.randomUUID()
  await deps.db.insert(grantRevocations).values({
    id,
    accountId: owner.accountId,
    userId: owner.userId,
    tokenSealed: seal(deps.config.encryptionKeys, revocationPlace(owner.accountId, owner.userId), token),
    tokenTypeHint,
    createdAt: deps.clock.sqlNow(),
  })
  await deps.jobs.enqueue(deps, 'revoke-grant', { id })
}

/** Carries one request out. @throws Error when X has not confirmed: the job is then tried again. */
export async function revokeGrant(deps: Deps, revocationId: string): Promise<void> {
  const [request] = await deps.db.select().from(grantRevocations).where(eq(grantRevocations.id, revocationId))
  if (request === undefined) return
  const token = unseal(
    deps.config.encryptionKeys,
    revocationPlace(request.accountId, request.userId),
    request.tokenSealed,
  )
  const revoked = await revokeToken(xApp(deps), `${deps.config.x.apiUrl}/2/oauth2/revoke`, token, request.tokenTypeHint)
  if (!revoked) throw new Error('X has not confirmed a revocation yet')
  await deps.db.delete(grantRevocations).where(eq(grantRevocations.id, revocationId))
}

/** Where the token of a request is sealed, for whoever re-seals it under another key. */
export function revocationPlace(accountId: string, userId: string): SealedPlace {
  return { table: 'grant_revocations', column: 'token_sealed', accountId, userId }
}
