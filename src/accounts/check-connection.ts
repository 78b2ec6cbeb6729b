// Checks at X whether a connection still works: for accounts whose grant may have been ended by an
// approval that was never completed.
import { and, inArray } from 'drizzle-orm'
import type { JobData } from '../db/jobs.ts'
import { connectedAccounts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe } from '../x/api.ts'
import { withAccessToken } from './access-token.ts'
import { isAccount } from './account-rows.ts'

// Refusals that prove that X accepts the access token.
const ACCEPTED_WITH: readonly ErrorCode[] = ['SCOPES_MISSING', 'ACCOUNT_SUSPENDED']

/**
 * Uses an account's tokens once, so that an account whose grant X has ended becomes NEEDS_REAUTH
 * now and not at its next post.
 * @throws Error when X could not say; the job is then retried.
 */
export async function checkConnection(deps: Deps, account: JobData): Promise<void> {
  const [working] = await deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(and(isAccount(account), inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED'])))
  if (working === undefined) return
  try {
    const result = await withAccessToken(deps, account, 'READ_PROFILE', (accessToken) => fetchMe(deps, accessToken))
    const isAccepted = result.kind === 'done' || (result.kind === 'refused' && ACCEPTED_WITH.includes(result.code))
    if (!isAccepted) throw new Error('X could not say whether a connection works')
  } catch (error) {
    if (
      error instanceof AppError &&
      ['ACCOUNT_NEEDS_REAUTH', 'ACCOUNT_DISCONNECTED', 'USER_BLOCKED'].includes(error.code)
    )
      return
    throw error
  }
}
