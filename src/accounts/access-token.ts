// Runs a call to X with an access token of a connected account. Everything that acts for an account
// goes through `withAccessToken`.
import type { Deps } from '../deps.ts'
import type { XResult } from '../x/api.ts'
import { findBlock, isFromX, recordBlocks, type XEndpoint } from '../x/blocks.ts'
import { refusal } from '../x/refusals.ts'
import type { AccountKey } from './account-rows.ts'
import { recordAcceptedAccessToken, recordRefusedAccessToken } from './refused-access-tokens.ts'
import { getUsableToken, type TokenRow, type UsableToken } from './usable-token.ts'

/**
 * Runs `use` with a valid access token of the account. The token is refreshed before it expires,
 * and once more if X responds 401, with one retry. A token that X issued moments ago and has never
 * accepted is not refreshed again: X then refuses more than this account. Of any number of callers
 * in any number of processes one refreshes, and the others wait for its result.
 *
 * While X is known to refuse the call, it is not made, and the refusal is returned.
 *
 * @param endpoint the rate limit class of the call.
 * @param use makes one call. It is called a second time only after `unauthorized`, for which X
 * guarantees that nothing was done.
 * @param known the token of the ACTIVE account, if the caller has just read it.
 * @throws AppError ACCOUNT_DISCONNECTED, ACCOUNT_NEEDS_REAUTH, USER_BLOCKED, REFRESH_IN_PROGRESS,
 * X_UNAVAILABLE or X_CREDENTIALS_REJECTED. `use` has then not run, or X has refused its call.
 */
export async function withAccessToken<T>(
  deps: Deps,
  account: AccountKey,
  endpoint: XEndpoint,
  use: (accessToken: string) => Promise<XResult<T>>,
  known: TokenRow | null = null,
): Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>> {
  const block = await findBlock(deps, account, endpoint)
  if (block.refusal !== null) return block.refusal
  const result = await callWithToken(deps, account, use, known)
  try {
    await recordBlocks(deps, account, endpoint, block, result)
  } catch (error) {
    // The result of the call must reach the caller even while the database is away.
    deps.log.warn({ error, accountId: account.id }, 'Could not record a rate limit of X')
  }
  return result
}

async function callWithToken<T>(
  deps: Deps,
  account: AccountKey,
  use: (accessToken: string) => Promise<XResult<T>>,
  known: TokenRow | null,
): Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>> {
  const first = await getUsableToken(deps, account, null, known)
  const result = await use(first.accessToken)
  if (result.kind !== 'unauthorized') {
    await recordAccepted(deps, account, first, result)
    return result
  }
  if (first.keepUntil > performance.now()) {
    await recordRefusedAccessToken(deps, account, first.version)
  } else {
    const second = await getUsableToken(deps, account, first.version)
    const retried = await use(second.accessToken)
    if (retried.kind !== 'unauthorized') {
      await recordAccepted(deps, account, second, retried)
      return retried
    }
    await recordRefusedAccessToken(deps, account, second.version)
  }
  return refusal('X_UNAVAILABLE')
}

async function recordAccepted(
  deps: Deps,
  account: AccountKey,
  token: UsableToken,
  result: XResult<unknown>,
): Promise<void> {
  if (token.isUnproven && isFromX(result)) await recordAcceptedAccessToken(deps, account, token.version)
}
