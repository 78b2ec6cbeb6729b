// Who may sign in, by the configuration. The lists are checked at each sign-in, also of existing
// users; SIGN_IN decides on new users alone.
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { isMemberOfAny } from './github-organizations.ts'
import { redeemInvite } from './invites.ts'

/**
 * Checks a person against the lists of the configuration. `isByLogin` is true when the login alone
 * allows them: it can have been another person's before.
 * @throws AppError SIGN_IN_NOT_ALLOWED, GITHUB_ORG_ACCESS_RESTRICTED, GITHUB_UNAVAILABLE
 */
export async function admitPerson(
  deps: Pick<Deps, 'config'>,
  { githubId, login }: { githubId: number; login: string },
  accessToken: string,
): Promise<{ isByLogin: boolean }> {
  const { allowed } = deps.config.signIn
  if (allowed === null || allowed.githubIds.includes(githubId)) return { isByLogin: false }
  // Before the login: a member is allowed whoever had the login before.
  const isListed = allowed.logins.includes(login.toLowerCase())
  try {
    if (await isMemberOfAny(deps, accessToken, allowed.organizations)) return { isByLogin: false }
  } catch (error) {
    if (!isListed) throw error
  }
  if (!isListed) throw new AppError('SIGN_IN_NOT_ALLOWED')
  return { isByLogin: true }
}

/**
 * Checks whether there may be one more user, in the transaction that inserts them, and redeems the
 * invite that this takes.
 * @param inviteHash SHA-256 of the invite of this sign-in; null without one.
 * @throws AppError SIGN_IN_CLOSED, INVITE_REQUIRED, INVITE_INVALID
 */
export async function admitNewUser(
  deps: Pick<Deps, 'db' | 'clock' | 'config'>,
  inviteHash: string | null,
): Promise<void> {
  const { mode } = deps.config.signIn
  if (mode === 'open') return
  if (mode === 'closed') throw new AppError('SIGN_IN_CLOSED')
  if (inviteHash === null) throw new AppError('INVITE_REQUIRED')
  if (!(await redeemInvite(deps, inviteHash))) throw new AppError('INVITE_INVALID')
}
