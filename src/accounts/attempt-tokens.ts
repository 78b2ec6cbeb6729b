// The token pair that X issued for a connect attempt, stored sealed with the attempt from the code
// exchange until X has said which account it belongs to. The code exchange has ended the account's
// earlier pair, so losing this one would lose a working connection.
import { and, eq, getTableColumns, isNotNull, lte, or, sql } from 'drizzle-orm'
import { z } from 'zod'
import { type ConnectAttempt, isAttempt } from '../auth/connect-attempt.ts'
import { type SealContext, seal, UnsealError } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { openSealed } from '../db/sealed-values.ts'
import { connectAttempts, connectedAccounts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { IssuedTokens } from '../x/token-response.ts'
import { type AccountKey, isAccount } from './account-rows.ts'

/** A connect attempt that was taken by the user who started it. */
export type TakenAttempt = ConnectAttempt & { takenAt: Date }

/**
 * A taken attempt with its token pair. One process at a time works on it: it moves `nextTryAt`
 * forward first.
 */
export type AttemptWithTokens = {
  attempt: TakenAttempt
  /**
   * The sealed pair of the row, which identifies it in every write. If the row has another value,
   * or none, another process has replaced it or finished the attempt.
   */
  sealed: string
  tokens: Pick<IssuedTokens, 'accessToken' | 'refreshToken'> & { scopes: string[] }
  /** The lifetime of the access token, counted from `receivedAt`. */
  expiresInSeconds: number
  /** By `performance.now()`. */
  receivedAt: number
}

/**
 * The lifetime of a claim: twice the duration of one try with all its calls and retries. A try that
 * was cut off by the end of its process is repeated afterwards.
 */
export const ATTEMPT_CLAIM_SECONDS = 120

const tokensShape = z.object({
  accessToken: z.string().nullable(),
  refreshToken: z.string().nullable(),
  scopes: z.array(z.string()),
})

/**
 * Stores a token pair that X has just issued for an attempt. While the database is away, it
 * continues to retry after it has thrown: a job then finishes the attempt.
 * @returns null when the attempt has been deleted together with its user.
 * @throws the database's error after `PERSON_WAITS_SECONDS`.
 */
export async function storeAttemptTokens(
  deps: Deps,
  attempt: TakenAttempt,
  issued: IssuedTokens,
): Promise<AttemptWithTokens | null> {
  const receivedAt = performance.now()
  const { accessToken, refreshToken, expiresInSeconds } = issued
  const tokens = { accessToken, refreshToken, scopes: issued.scopes ?? attempt.scopes }
  const sealed = sealAttemptTokens(deps, attempt, tokens)
  const write = async () => {
    const [written] = await deps.db
      .update(connectAttempts)
      .set({ tokensSealed: sealed, ...claimColumns(deps, expiresInSeconds, receivedAt) })
      .where(isAttempt(attempt))
      .returning({ id: connectAttempts.id })
    return written !== undefined
  }
  const purpose = 'store the token pair of a connect attempt'
  try {
    const isWritten = await retryUntilWritten(deps, purpose, write, PERSON_WAITS_SECONDS)
    return isWritten ? { attempt, sealed, tokens, expiresInSeconds, receivedAt } : null
  } catch (error) {
    deps.refreshes.addWrite(
      retryUntilWritten(deps, purpose, write).catch((error: unknown) =>
        deps.log.error({ error, attempt: attempt.id }, 'The token pair of a connect attempt is lost'),
      ),
    )
    throw error
  }
}

/**
 * Claims an attempt that waits for X and is due. Returns null when it is finished, claimed by
 * another process, or not due.
 */
export async function claimAttempt(deps: Deps, userId: string, attemptId: string): Promise<AttemptWithTokens | null> {
  const receivedAt = performance.now()
  const [row] = await deps.db
    .update(connectAttempts)
    .set({ nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS) })
    .where(
      and(
        isAttempt({ id: attemptId, userId }),
        isNotNull(connectAttempts.tokensSealed),
        lte(connectAttempts.nextTryAt, deps.clock.sqlNow()),
      ),
    )
    .returning({
      attempt: getTableColumns(connectAttempts),
      secondsLeft: sql<number>`extract(epoch from ${connectAttempts.accessExpiresAt} - ${deps.clock.sqlNow()})::float8`,
    })
  if (row === undefined) return null
  const { takenAt, tokensSealed: sealed } = row.attempt
  if (takenAt === null || sealed === null) throw new Error('Bug: an attempt that was not taken has tokens')
  const attempt = { ...row.attempt, takenAt }
  // An altered pair is treated like a dead one, so that its attempt ends instead of being claimed
  // again and again.
  const noTokens = { accessToken: null, refreshToken: null, scopes: attempt.scopes }
  const tokens = (await openAttemptTokens(deps, attempt, sealed)) ?? noTokens
  return { attempt, sealed, tokens, expiresInSeconds: Number(row.secondsLeft), receivedAt }
}

/**
 * Updates the row of a claimed attempt. Returns false when the attempt is finished, or another
 * process has replaced its token pair.
 */
export async function updateAttempt(
  deps: Deps,
  { attempt, sealed }: Pick<AttemptWithTokens, 'attempt' | 'sealed'>,
  values: Partial<Record<keyof typeof connectAttempts.$inferInsert, unknown>>,
): Promise<boolean> {
  const [updated] = await deps.db
    .update(connectAttempts)
    .set(values as Partial<typeof connectAttempts.$inferInsert>)
    .where(and(isAttempt(attempt), eq(connectAttempts.tokensSealed, sealed)))
    .returning({ id: connectAttempts.id })
  return updated !== undefined
}

/**
 * Locks the row of a claimed attempt for the transaction of `deps`: no other process finishes it
 * meanwhile. Returns false when the attempt is finished, or another process has replaced its token
 * pair.
 */
export async function lockAttempt(
  deps: Deps,
  { attempt, sealed }: Pick<AttemptWithTokens, 'attempt' | 'sealed'>,
): Promise<boolean> {
  const [locked] = await deps.db
    .select({ id: connectAttempts.id })
    .from(connectAttempts)
    .where(and(isAttempt(attempt), eq(connectAttempts.tokensSealed, sealed)))
    .for('update')
  return locked !== undefined
}

/**
 * Returns true while an attempt holds a token pair that may belong to this account: its user has
 * approved it again, and X has not confirmed that yet.
 */
export async function isConnectWaiting(deps: Deps, account: AccountKey): Promise<boolean> {
  const [waiting] = await deps.db
    .select({ id: connectAttempts.id })
    .from(connectAttempts)
    .innerJoin(connectedAccounts, eq(connectedAccounts.userId, connectAttempts.userId))
    .where(
      and(
        isAccount(account),
        isNotNull(connectAttempts.tokensSealed),
        or(
          eq(connectAttempts.reconnectAccountId, account.id),
          eq(sql`lower(${connectAttempts.expectedUsername})`, sql`lower(${connectedAccounts.username})`),
        ),
      ),
    )
    .limit(1)
  return waiting !== undefined
}

/** Returns the seal context of an attempt's token pair. */
export function attemptTokensSealContext(attemptId: string, userId: string): SealContext {
  return { table: 'connect_attempts', column: 'tokens_sealed', accountId: attemptId, userId }
}

/** Seals the token pair of an attempt. */
export function sealAttemptTokens(
  deps: Deps,
  attempt: { id: string; userId: string },
  tokens: AttemptWithTokens['tokens'],
): string {
  return seal(deps.config.encryptionKeys, attemptTokensSealContext(attempt.id, attempt.userId), JSON.stringify(tokens))
}

/**
 * Opens the token pair of an attempt; null when the row was altered.
 * @throws EncryptionKeyMissingError when this instance lacks its key.
 */
export async function openAttemptTokens(
  deps: Deps,
  attempt: { id: string; userId: string },
  sealed: string,
): Promise<AttemptWithTokens['tokens'] | null> {
  try {
    const context = attemptTokensSealContext(attempt.id, attempt.userId)
    return tokensShape.parse(JSON.parse(await openSealed(deps, context, sealed)))
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    deps.log.error({ error, attempt: attempt.id }, 'The tokens of a connect attempt were altered outside this program')
    return null
  }
}

/**
 * The columns that store when an access token expires and claim its attempt. The expiry is counted
 * from the receipt, because the write may happen much later.
 */
export function claimColumns(deps: Deps, expiresInSeconds: number, receivedAt: number) {
  return {
    accessExpiresAt: sqlIn(deps.clock, expiresInSeconds - (performance.now() - receivedAt) / 1000),
    nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS),
  }
}
