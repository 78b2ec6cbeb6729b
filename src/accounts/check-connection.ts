// Whether a connection still works, asked of X: for accounts whose pair an approval may have ended
// that was never finished.
import { and, eq, inArray } from 'drizzle-orm'
import { isRowId } from '../db/row-id.ts'
import { connectedAccounts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe } from '../x/api.ts'
import { withAccessToken } from './access-token.ts'

// Refusals by which X shows that it takes the access token.
const TELLING: readonly ErrorCode[] = ['SCOPES_MISSING', 'ACCOUNT_SUSPENDED']

/**
 * Uses an account's tokens once, so that an account whose grant X has ended turns to NEEDS_REAUTH
 * now and not at its next post.
 * @throws Error when X could not say: the job is then tried again.
 */
export async function checkConnection(deps: Deps, accountId: string): Promise<void> {
  if (!isRowId(accountId)) return
  const [account] = await deps.db
    .select({ id: connectedAccounts.id, userId: connectedAccounts.userId })
    .from(connectedAccounts)
    .where(and(eq(connectedAccounts.id, accountId), inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED'])))
  if (account === undefined) return
  try {
    const answer = await withAccessToken(deps, account, 'READ_PROFILE', (accessToken) => fetchMe(deps, accessToken))
    const isTold = answer.kind === 'done' || (answer.kind === 'refused' && TELLING.includes(answer.code))
    if (!isTold) throw new Error('X could not say whether a connection works')
  } catch (error) {
    if (error instanceof AppError && ['ACCOUNT_NEEDS_REAUTH', 'ACCOUNT_DISCONNECTED'].includes(error.code)) return
    throw error
  }
}
