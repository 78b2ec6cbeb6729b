// Starts connecting an X account. The attack to prevent: an attacker starts an attempt and has the
// victim finish it, or finishes it with the victim's code (RFC 9700 section 4.7, CSRF). Therefore
// an attempt belongs to one user in one session, and only that session can finish it.
import { and, eq, inArray } from 'drizzle-orm'
import { type ConnectAttempt, isAttempt, startConnectAttempt } from '../auth/connect-attempt.ts'
import { createAuthorizationUrl } from '../auth/oauth-client.ts'
import { parseReturnTo } from '../auth/return-to.ts'
import type { SessionViewer } from '../auth/viewer.ts'
import { isRowId } from '../db/row-id.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { consumeRateLimit } from '../rate-limit/limiter.ts'
import { xApp } from '../x/api.ts'
import { findAppBlock } from '../x/blocks.ts'
import { parseScopes } from '../x/scopes.ts'
import { findConnectedAccount } from './accounts.ts'

/** The choices of a caller who starts a connection. Null leaves a choice to the gateway. */
export type StartXConnectInput = {
  returnTo: string | null
  scopes: readonly string[] | null
  expectedUsername: string | null
  reconnectAccountId: string | null
}

/**
 * Starts connecting an X account to the viewer.
 * @throws AppError RETURN_TO_NOT_ALLOWED, BAD_USER_INPUT, ACCOUNT_NOT_FOUND, RATE_LIMITED;
 * X_CREDITS_EXHAUSTED, X_USAGE_CAPPED and X_RATE_LIMITED, with `retryAt`, while X is known to
 * refuse every profile to this app.
 */
export async function startXConnect(
  deps: Deps,
  viewer: SessionViewer,
  input: StartXConnectInput,
): Promise<{ authorizationUrl: string; attempt: ConnectAttempt }> {
  const scopes = parseScopes(input.scopes)
  const returnTo = parseReturnTo(deps.config, input.returnTo, ['input', 'returnTo'])
  const reconnect =
    input.reconnectAccountId === null
      ? null
      : await findConnectedAccount(deps, viewer.user.id, input.reconnectAccountId)
  if (input.reconnectAccountId !== null && reconnect === null) {
    throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'reconnectAccountId'] })
  }
  const expectedUsername = parseUsername(input.expectedUsername)
  // X would ask the person for consent and then refuse to say which account was approved.
  const block = await findAppBlock(deps, 'READ_PROFILE')
  if (block !== null) throw new AppError(block.code, { retryAt: block.retryAt })
  await consumeRateLimit(deps, 'connect', viewer.user.id, 1)
  const { attempt, state, codeVerifier } = await startConnectAttempt(deps, {
    userId: viewer.user.id,
    sessionId: viewer.session.id,
    scopes,
    returnTo,
    expectedUsername,
    reconnectAccountId: reconnect?.id ?? null,
  })
  const authorizationUrl = createAuthorizationUrl(xApp(deps), `${deps.config.x.url}/i/oauth2/authorize`, {
    state,
    codeVerifier,
    scopes,
  })
  return { authorizationUrl, attempt }
}

/** Returns the user's connect attempt with this id, or null. */
export async function findConnectAttempt(
  deps: Deps,
  userId: string,
  attemptId: string,
): Promise<ConnectAttempt | null> {
  if (!isRowId(attemptId)) return null
  const [attempt] = await deps.db
    .select()
    .from(connectAttempts)
    .where(isAttempt({ id: attemptId, userId }))
  return attempt ?? null
}

/** Returns the user's connect attempts with these ids, which must be row ids. */
export function listConnectAttemptsByIds(
  deps: Deps,
  userId: string,
  ids: readonly string[],
): Promise<ConnectAttempt[]> {
  return deps.db
    .select()
    .from(connectAttempts)
    .where(and(eq(connectAttempts.userId, userId), inArray(connectAttempts.id, [...ids])))
}

function parseUsername(text: string | null): string | null {
  if (text === null || text.trim() === '') return null
  const username = text.trim().replace(/^@/, '')
  // X: 1 to 15 letters, digits and underscores; older usernames may be longer.
  if (!/^\w{1,50}$/.test(username))
    throw new AppError('BAD_USER_INPUT', {
      field: ['input', 'expectedUsername'],
      detail: 'A username is letters, digits and underscores, as in @jack.',
    })
  return username
}
