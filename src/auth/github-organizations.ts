// The membership of the person who signs in, by "Get an organization membership for the authenticated
// user" (docs.github.com/rest/orgs/members), which requires the scope read:org.
import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { callGithubApi, findGithubRefusal, githubApiError } from './github-api.ts'

/** The scope of GitHub that shows memberships. */
export const ORGANIZATIONS_SCOPE = 'read:org'

// An invitation that was not accepted is `pending`.
const membershipShape = z.object({ state: z.enum(['active', 'pending']) })

/**
 * Returns true when the person is an active member of one of these organizations.
 * @throws AppError GITHUB_ORG_ACCESS_RESTRICTED when none shows the person as a member, and one does not
 * let the app see its members; GITHUB_UNAVAILABLE.
 */
export async function isMemberOfAny(
  deps: Pick<Deps, 'config'>,
  accessToken: string,
  organizations: readonly string[],
): Promise<boolean> {
  let restricted: AppError | null = null
  for (const organization of organizations) {
    try {
      if (await isMember(deps, accessToken, organization)) return true
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'GITHUB_ORG_ACCESS_RESTRICTED')) throw error
      restricted = error
    }
  }
  if (restricted !== null) throw restricted
  return false
}

async function isMember(deps: Pick<Deps, 'config'>, accessToken: string, organization: string): Promise<boolean> {
  const result = await callGithubApi(deps, `/user/memberships/orgs/${encodeURIComponent(organization)}`, accessToken)
  // Also for an organization that does not exist.
  if (result.report.status === 404) return false
  const membership = membershipShape.safeParse(result.ok ? result.value : null)
  if (membership.success) return membership.data.state === 'active'
  // The organization restricts OAuth apps (docs.github.com, "About OAuth app access restrictions"), or
  // requires single sign-on or an address of its own.
  const isRestricted = findGithubRefusal(result) !== null
  throw githubApiError(isRestricted ? 'GITHUB_ORG_ACCESS_RESTRICTED' : 'GITHUB_UNAVAILABLE', result)
}
