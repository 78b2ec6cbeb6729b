// Revokes grants at X (RFC 7009) through a transactional outbox: the request is a row, written in
// the transaction that stops using the grant, so that a user can leave while X is down. A job is
// retried until X has confirmed.
import { and, eq, gt, gte, isNotNull, isNull, or, type SQL } from 'drizzle-orm'
import { revokeToken } from '../auth/oauth-client.ts'
import { type SealContext, seal } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import type { JobData } from '../db/jobs.ts'
import { openSealed } from '../db/sealed-values.ts'
import { connectAttempts, connectedAccounts, grantRevocations } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { xApp } from '../x/api.ts'
import { findAccountHolder } from './account-holder.ts'
import { isAccount, isAccountAtX } from './account-rows.ts'

/** X's refresh tokens expire after about six months. A revocation is pointless after that. */
export const REFRESH_TOKEN_LIFETIME_SECONDS = 183 * 86_400

// From the code exchange to the stored account, with all retries of the calls and writes between.
const UNDER_WAY_SECONDS = 120
const AGAIN_SECONDS = 5

/**
 * Requests the revocation of a grant, in the transaction of `deps` that deletes its token here.
 * @param owner.accountId the id of the account, or of the connect attempt that brought the grant.
 * @param owner.providerAccountId X's id of the account; null when X has not said which one it is.
 */
export async function requestRevocation(
  deps: Deps,
  owner: { accountId: string; userId: string; providerAccountId: string | null },
  token: string,
  tokenTypeHint: 'refresh_token' | 'access_token',
): Promise<void> {
  const id = crypto.randomUUID()
  await deps.db.insert(grantRevocations).values({
    id,
    accountId: owner.accountId,
    userId: owner.userId,
    providerAccountId: owner.providerAccountId,
    tokenSealed: seal(deps.config.encryptionKeys, revocationSealContext(owner.accountId, owner.userId), token),
    tokenTypeHint,
    createdAt: deps.clock.sqlNow(),
  })
  await deps.jobs.enqueue(deps, 'revoke-grant', { userId: owner.userId, id })
}

/** Revokes a grant at X. @throws Error when X has not confirmed; the job is then retried. */
export async function revokeGrant(deps: Deps, job: JobData): Promise<void> {
  const isRequest = and(eq(grantRevocations.userId, job.userId), eq(grantRevocations.id, job.id))
  const [request] = await deps.db.select().from(grantRevocations).where(isRequest)
  if (request === undefined) return
  // X has ended the grant since: revoking it now could only end the newer one.
  if (await isConnectedSince(deps, request)) return void (await deps.db.delete(grantRevocations).where(isRequest))
  // The user may be connecting the same account again, which deletes this request
  // (write-connection.ts). A callback ends within seconds; a token pair that waits for X may wait
  // for days, and the sweep queues the request again each minute, so that jobs do not pile up.
  const { isUnderWay, isWaiting } = await findConnecting(deps, request)
  if (isUnderWay) return deps.jobs.enqueue(deps, 'revoke-grant', job, AGAIN_SECONDS)
  if (isWaiting) return
  const context = revocationSealContext(request.accountId, request.userId)
  const token = await openSealed(deps, context, request.tokenSealed)
  const isRevoked = await revokeToken(
    xApp(deps),
    `${deps.config.x.apiUrl}/2/oauth2/revoke`,
    token,
    request.tokenTypeHint,
  )
  if (!isRevoked) throw new Error('X has not confirmed a revocation yet')
  await deps.db.delete(grantRevocations).where(isRequest)
}

// Whether any user has connected the account of this grant after the request.
async function isConnectedSince(
  deps: Deps,
  { providerAccountId, createdAt }: typeof grantRevocations.$inferSelect,
): Promise<boolean> {
  const userId = providerAccountId === null ? null : await findAccountHolder(deps, providerAccountId)
  if (providerAccountId === null || userId === null) return false
  const isConnected = and(isAccountAtX(userId, providerAccountId), gte(connectedAccounts.connectedAt, createdAt))
  return (await deps.db.$count(connectedAccounts, isConnected)) > 0
}

async function findConnecting(
  deps: Deps,
  { userId, accountId }: typeof grantRevocations.$inferSelect,
): Promise<{ isUnderWay: boolean; isWaiting: boolean }> {
  const { status, takenAt, tokensSealed, reconnectAccountId } = connectAttempts
  const isStored = (await deps.db.$count(connectedAccounts, isAccount({ id: accountId, userId }))) > 0
  const underWay = and(eq(status, 'PENDING'), gt(takenAt, sqlIn(deps.clock, -UNDER_WAY_SECONDS)))
  // A waiting attempt delays only what may concern the same account. Without `reconnectAccountId`
  // it may concern any, even with an `expectedUsername`.
  const isMaybeSame = or(isNull(reconnectAccountId), eq(reconnectAccountId, accountId))
  const waiting = and(isNotNull(tokensSealed), isStored ? isMaybeSame : undefined)
  const count = (condition: SQL | undefined) =>
    deps.db.$count(connectAttempts, and(eq(connectAttempts.userId, userId), condition))
  return { isUnderWay: (await count(underWay)) > 0, isWaiting: (await count(waiting)) > 0 }
}

/** Returns the seal context of a revocation request's token. */
export function revocationSealContext(accountId: string, userId: string): SealContext {
  return { table: 'grant_revocations', column: 'token_sealed', accountId, userId }
}
