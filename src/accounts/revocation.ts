// Grants to be revoked at X. The request is a row written in the transaction that stops using the grant, so that a user gets away
// even while X is down; a job goes on until X has confirmed.
import { and, eq, gt, isNotNull, isNull, or, type SQL } from 'drizzle-orm'
import { revokeToken } from '../auth/oauth-client.ts'
import { type SealContext, seal, unseal } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { connectAttempts, connectedAccounts, grantRevocations } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { xApp } from '../x/api.ts'

/** A refresh token lives about six months; after that there is nothing left to revoke. */
export const REFRESH_TOKEN_LIFETIME_SECONDS = 183 * 86_400

// From the code exchange to the stored account, with the calls and writes that are repeated in
// between.
const UNDER_WAY_SECONDS = 120
const AGAIN_SECONDS = 5

/**
 * Asks for a grant to be revoked. Call it inside the transaction that makes the token unusable
 * here.
 * @param owner.accountId of the account, or of the attempt that brought the grant.
 * @param owner.providerAccountId X's id of the account, where the grant belongs to none that is
 * stored here.
 */
export async function requestRevocation(
  deps: Deps,
  owner: { accountId: string; userId: string; providerAccountId?: string | null },
  token: string,
  tokenTypeHint: 'refresh_token' | 'access_token',
): Promise<void> {
  const id = crypto.randomUUID()
  await deps.db.insert(grantRevocations).values({
    id,
    accountId: owner.accountId,
    userId: owner.userId,
    providerAccountId: owner.providerAccountId ?? null,
    tokenSealed: seal(deps.config.encryptionKeys, revocationSealContext(owner.accountId, owner.userId), token),
    tokenTypeHint,
    createdAt: deps.clock.sqlNow(),
  })
  await deps.jobs.enqueue(deps, 'revoke-grant', { id })
}

/** Carries one request out. @throws Error when X has not confirmed: the job is then tried again. */
export async function revokeGrant(deps: Deps, revocationId: string): Promise<void> {
  const [request] = await deps.db.select().from(grantRevocations).where(eq(grantRevocations.id, revocationId))
  if (request === undefined) return
  // What its user connects may be the same account: then this request is dropped with it (see
  // link.ts). A callback ends within seconds. A pair that waits for X may wait for days: the sweep
  // then queues the request again each minute, so that jobs do not pile up.
  const { isUnderWay, isWaiting } = await findConnecting(deps, request)
  if (isUnderWay) return deps.jobs.enqueue(deps, 'revoke-grant', { id: revocationId }, AGAIN_SECONDS)
  if (isWaiting) return
  const token = unseal(
    deps.config.encryptionKeys,
    revocationSealContext(request.accountId, request.userId),
    request.tokenSealed,
  )
  const revoked = await revokeToken(xApp(deps), `${deps.config.x.apiUrl}/2/oauth2/revoke`, token, request.tokenTypeHint)
  if (!revoked) throw new Error('X has not confirmed a revocation yet')
  await deps.db.delete(grantRevocations).where(eq(grantRevocations.id, revocationId))
}

async function findConnecting(
  deps: Deps,
  { userId, accountId }: typeof grantRevocations.$inferSelect,
): Promise<{ isUnderWay: boolean; isWaiting: boolean }> {
  const { kind, status, takenAt, tokensSealed, reconnectAccountId } = connectAttempts
  const isAccount = (await deps.db.$count(connectedAccounts, eq(connectedAccounts.id, accountId))) > 0
  const underWay = and(eq(status, 'PENDING'), gt(takenAt, sqlIn(deps.clock, -UNDER_WAY_SECONDS)))
  // One that waits for X holds up only what may be about the same account. An attempt that named no
  // account to reconnect may be about any, also where it named a username.
  const isMaybeSame = or(isNull(reconnectAccountId), eq(reconnectAccountId, accountId))
  const waiting = and(isNotNull(tokensSealed), isAccount ? isMaybeSame : undefined)
  const count = (which: SQL | undefined) =>
    deps.db.$count(connectAttempts, and(eq(connectAttempts.userId, userId), eq(kind, 'X_CONNECT'), which))
  return { isUnderWay: (await count(underWay)) > 0, isWaiting: (await count(waiting)) > 0 }
}

/** Where the token of a request is sealed, for whoever re-seals it under another key. */
export function revocationSealContext(accountId: string, userId: string): SealContext {
  return { table: 'grant_revocations', column: 'token_sealed', accountId, userId }
}
