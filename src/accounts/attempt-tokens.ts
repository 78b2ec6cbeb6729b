// The pair that X issued for an attempt, kept sealed with it from the code exchange until it is
// known whose account it is. The exchange has ended the account's earlier pair: losing this one,
// because X cannot say yet whose it is, would lose a working connection.
import { and, eq, getTableColumns, isNotNull, lte, or, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { ConnectAttempt } from '../auth/oauth-attempt.ts'
import { exchangeRefreshToken } from '../auth/oauth-client.ts'
import { type SealContext, seal, UnsealError, unseal } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { PERSON_WAITS_SECONDS, retryUntilWritten } from '../db/retry-write.ts'
import { connectAttempts, connectedAccounts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { xApp } from '../x/api.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { type IssuedTokens, judgeRefusal, parseIssuedTokens } from '../x/token-response.ts'
import { isUnreadable } from './sealed-tokens.ts'

/** An attempt to connect an account, taken by the user who started it. */
export type TakenAttempt = ConnectAttempt & { userId: string; takenAt: Date }

/**
 * A taken attempt with the pair that X issued for it. One process at a time works on it, by moving
 * `nextTryAt` forward first.
 */
export type AttemptWithTokens = {
  attempt: TakenAttempt
  /**
   * The pair as it stands in the row. A row that holds another value, or none, is another
   * process's, or finished.
   */
  sealed: string
  tokens: Pick<IssuedTokens, 'accessToken' | 'refreshToken'> & { scopes: string[] }
  expiresInSeconds: number
  /** By `performance.now()`: when `expiresInSeconds` was true. */
  receivedAt: number
}

/** What came of refreshing a kept pair. */
export type AttemptRefresh =
  | { kind: 'renewed'; kept: AttemptWithTokens }
  /** X does not accept the refresh token: the pair was replaced or revoked. */
  | { kind: 'dead' }
  | { kind: 'later'; error: AppError }
  /** Another process has the attempt. */
  | { kind: 'lost' }

/**
 * All calls of one try with their retries, twice over. A try that is cut off by the end of its
 * process is repeated after this.
 */
export const ATTEMPT_CLAIM_SECONDS = 120

const tokensShape = z.object({
  accessToken: z.string().nullable(),
  refreshToken: z.string().nullable(),
  scopes: z.array(z.string()),
})

/**
 * Keeps a pair that X has just issued. While the database is away, it goes on trying after this has
 * thrown: a job then finishes the attempt.
 * @returns null when the attempt is gone with its user.
 * @throws what the database throws after `PERSON_WAITS_SECONDS`.
 */
export async function storeAttemptTokens(
  deps: Deps,
  attempt: TakenAttempt,
  issued: IssuedTokens,
): Promise<AttemptWithTokens | null> {
  const receivedAt = performance.now()
  const { accessToken, refreshToken, expiresInSeconds } = issued
  const tokens = { accessToken, refreshToken, scopes: issued.scopes ?? attempt.scopes }
  const sealed = sealTokens(deps, attempt, tokens)
  const write = async () => {
    const [written] = await deps.db
      .update(connectAttempts)
      .set({ tokensSealed: sealed, ...timesOf(deps, expiresInSeconds, receivedAt) })
      .where(eq(connectAttempts.id, attempt.id))
      .returning({ id: connectAttempts.id })
    return written !== undefined
  }
  const purpose = 'keep the tokens of a connection under way'
  try {
    const written = await retryUntilWritten(deps, purpose, write, PERSON_WAITS_SECONDS)
    return written ? { attempt, sealed, tokens, expiresInSeconds, receivedAt } : null
  } catch (error) {
    deps.refreshes.addWrite(
      retryUntilWritten(deps, purpose, write).catch((error: unknown) =>
        deps.log.error({ error, attempt: attempt.id }, 'The tokens of a connection are lost'),
      ),
    )
    throw error
  }
}

/**
 * Takes a kept attempt whose time has come, to go on with it. Null when it is finished, another
 * process's, or not due.
 */
export async function claimAttempt(deps: Deps, attemptId: string): Promise<AttemptWithTokens | null> {
  const receivedAt = performance.now()
  const [row] = await deps.db
    .update(connectAttempts)
    .set({ nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS) })
    .where(
      and(
        eq(connectAttempts.id, attemptId),
        isNotNull(connectAttempts.tokensSealed),
        lte(connectAttempts.nextTryAt, deps.clock.sqlNow()),
      ),
    )
    .returning({
      attempt: getTableColumns(connectAttempts),
      secondsLeft: sql<number>`extract(epoch from ${connectAttempts.accessExpiresAt} - ${deps.clock.sqlNow()})::float8`,
    })
  if (row === undefined) return null
  const { userId, takenAt, tokensSealed: sealed } = row.attempt
  if (userId === null || takenAt === null || sealed === null)
    throw new Error('Bug: tokens are kept for no taken attempt')
  const attempt = { ...row.attempt, userId, takenAt }
  // A pair that was altered is worth what a dead one is: its attempt is to end, and not to be
  // claimed for ever.
  const nothing = { accessToken: null, refreshToken: null, scopes: attempt.scopes }
  const tokens = (await openAttemptTokens(deps, attempt, sealed)) ?? nothing
  return { attempt, sealed, tokens, expiresInSeconds: Number(row.secondsLeft), receivedAt }
}

/** True when the access token of a kept pair has ended, or there is none. */
export function needsRefresh({ tokens, expiresInSeconds, receivedAt }: AttemptWithTokens, deps: Deps): boolean {
  const secondsLeft = expiresInSeconds - (performance.now() - receivedAt) / 1000
  return tokens.accessToken === null || secondsLeft <= deps.timing.usableBeforeEndSeconds
}

/**
 * Replaces a kept pair by a new one. Sends once; a pair that comes is written until it is written.
 */
export async function refreshAttemptTokens(deps: Deps, kept: AttemptWithTokens): Promise<AttemptRefresh> {
  const { refreshToken } = kept.tokens
  if (refreshToken === null) return { kind: 'dead' }
  // A process that was suspended for longer than its claim must not send what another one sends.
  if (!(await updateAttempt(deps, kept, { nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS) })))
    return { kind: 'lost' }
  const endpoint = `${deps.config.x.apiUrl}/2/oauth2/token`
  const answer = await exchangeRefreshToken(xApp(deps), endpoint, refreshToken, deps.circuitBreakers.X_REFRESH)
  const receivedAt = performance.now()
  const issued = answer.kind === 'issued' ? parseIssuedTokens(answer.body, deps.timing) : null
  if (issued === null) {
    if (answer.kind !== 'issued') {
      const meaning = judgeRefusal(answer)
      if (meaning === 'GRANT_DEAD') return { kind: 'dead' }
      if (meaning === 'APP_REJECTED') return { kind: 'later', error: new AppError('X_CREDENTIALS_REJECTED') }
    }
    const retryAt = answer.kind === 'issued' ? null : parseRetryAt(answer.report.headers, deps.clock.now())
    return { kind: 'later', error: new AppError('X_UNAVAILABLE', { retryAt }) }
  }
  const tokens = {
    accessToken: issued.accessToken,
    refreshToken: issued.refreshToken ?? refreshToken,
    scopes: issued.scopes ?? kept.tokens.scopes,
  }
  const { expiresInSeconds } = issued
  const sealed = sealTokens(deps, kept.attempt, tokens)
  const written = await retryUntilWritten(deps, 'keep the refreshed tokens of a connection under way', async () => {
    const values = { tokensSealed: sealed, ...timesOf(deps, expiresInSeconds, receivedAt) }
    // Another try of this write may have been committed, and only its response lost.
    return (await updateAttempt(deps, kept, values)) || (await updateAttempt(deps, { ...kept, sealed }, values))
  })
  if (!written) return { kind: 'lost' }
  return { kind: 'renewed', kept: { attempt: kept.attempt, sealed, tokens, expiresInSeconds, receivedAt } }
}

/** Changes the row of a kept attempt. False when it is finished, or another process's. */
export async function updateAttempt(
  deps: Deps,
  { attempt, sealed }: Pick<AttemptWithTokens, 'attempt' | 'sealed'>,
  values: Partial<Record<keyof typeof connectAttempts.$inferInsert, unknown>>,
): Promise<boolean> {
  const [updated] = await deps.db
    .update(connectAttempts)
    .set(values as Partial<typeof connectAttempts.$inferInsert>)
    .where(and(eq(connectAttempts.id, attempt.id), eq(connectAttempts.tokensSealed, sealed)))
    .returning({ id: connectAttempts.id })
  return updated !== undefined
}

/**
 * True while a pair is kept that is to be this account's, should X confirm that: its user has
 * approved it again.
 */
export async function isConnectWaiting(deps: Deps, accountId: string): Promise<boolean> {
  const [waiting] = await deps.db
    .select({ id: connectAttempts.id })
    .from(connectAttempts)
    .innerJoin(connectedAccounts, eq(connectedAccounts.userId, connectAttempts.userId))
    .where(
      and(
        eq(connectedAccounts.id, accountId),
        isNotNull(connectAttempts.tokensSealed),
        or(
          eq(connectAttempts.reconnectAccountId, accountId),
          eq(sql`lower(${connectAttempts.expectedUsername})`, sql`lower(${connectedAccounts.username})`),
        ),
      ),
    )
    .limit(1)
  return waiting !== undefined
}

/** Where the tokens of an attempt are sealed, for re-sealing them under another key. */
export function attemptTokensSealContext(attemptId: string, userId: string): SealContext {
  return { table: 'connect_attempts', column: 'tokens_sealed', accountId: attemptId, userId }
}

/**
 * Opens the tokens of an attempt; null where the row was altered. @throws UnsealError where the key
 * is missing.
 */
export async function openAttemptTokens(
  deps: Deps,
  attempt: { id: string; userId: string },
  sealed: string,
): Promise<AttemptWithTokens['tokens'] | null> {
  try {
    const place = attemptTokensSealContext(attempt.id, attempt.userId)
    return tokensShape.parse(JSON.parse(unseal(deps.config.encryptionKeys, place, sealed)))
  } catch (error) {
    if (!(error instanceof UnsealError) || !(await isUnreadable(deps, error))) throw error
    deps.log.error({ error, attempt: attempt.id }, 'The kept tokens of an attempt were altered outside this program')
    return null
  }
}

function sealTokens(deps: Deps, attempt: { id: string; userId: string }, tokens: AttemptWithTokens['tokens']): string {
  return seal(deps.config.encryptionKeys, attemptTokensSealContext(attempt.id, attempt.userId), JSON.stringify(tokens))
}

// Counted from the receipt: the write may come much later.
function timesOf(deps: Deps, expiresInSeconds: number, receivedAt: number) {
  return {
    accessExpiresAt: sqlIn(deps.clock, expiresInSeconds - (performance.now() - receivedAt) / 1000),
    nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS),
  }
}
