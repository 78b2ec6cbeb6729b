// Checks that the account that was approved at X is the one that the connect attempt named.
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { XProfile } from '../x/api.ts'
import { findConnectedAccount, listConnectedAccounts } from './accounts.ts'
import type { TakenAttempt } from './attempt-tokens.ts'

/**
 * Returns WRONG_ACCOUNT when the attempt named another account, by `reconnectAccountId` or by
 * `expectedUsername`; otherwise null.
 */
export async function findAccountMismatch(
  deps: Deps,
  attempt: TakenAttempt,
  profile: XProfile,
): Promise<AppError | null> {
  const { userId, reconnectAccountId, expectedUsername } = attempt
  if (reconnectAccountId !== null) {
    const account = await findConnectedAccount(deps, userId, reconnectAccountId)
    return account?.providerAccountId === profile.providerAccountId
      ? null
      : wrongAccount(profile, account?.username ?? null)
  }
  if (expectedUsername === null) return null
  // At X a username can pass to another account; an id never does. If the user has connected an
  // account under this username, that account is meant.
  const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: true })
  const named = accounts.filter(({ username }) => username.toLowerCase() === expectedUsername.toLowerCase())
  const isNamed = named.some(({ providerAccountId }) => providerAccountId === profile.providerAccountId)
  if (isNamed) return null
  const isConnected = named.some(({ status }) => status !== 'DISCONNECTED')
  return isConnected || expectedUsername.toLowerCase() !== profile.username.toLowerCase()
    ? wrongAccount(profile, expectedUsername, isConnected)
    : null
}

/** Returns true when the user has connected this account. */
export async function isOwnAccount(deps: Deps, userId: string, profile: XProfile): Promise<boolean> {
  const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: false })
  return accounts.some((account) => account.providerAccountId === profile.providerAccountId)
}

function wrongAccount({ username }: XProfile, expected: string | null, isConnected = false): AppError {
  const asked = expected === null ? 'the account that was asked for' : `@${expected}`
  const isSameName = expected?.toLowerCase() === username.toLowerCase()
  const detail =
    isConnected && isSameName
      ? `@${username} at X is another account now than the ${asked} that you have connected, which was renamed there. Connect that one by reconnectAccountId, or this one without expectedUsername.`
      : `X is signed in as @${username}, not as ${asked}. Switch accounts at x.com, then start again.`
  return new AppError('WRONG_ACCOUNT', { detail })
}
