// The membership of the person who signs in, by "Get an organization membership for the
// authenticated user" (docs.github.com/rest/orgs/members), which requires the scope read:org.
import { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { AppError } from '../errors.ts'
import { callGithubApi, findGithubRefusal, githubApiError } from './github-api.ts'

/** The scope of GitHub that shows memberships. */
export const ORGANIZATIONS_SCOPE = 'read:org'

// An invitation that was not accepted is `pending`.
const membershipShape = z.object({ state: z.enum(['active', 'pending']) })

/**
 * Returns true when the person is an active member of one of these organizations. A response about
 * one organization that cannot be used, such as the redirect of a renamed one, keeps nobody out
 * whom another one admits.
 * @throws AppError GITHUB_ORG_ACCESS_RESTRICTED when none shows the person as a member, and one
 * does not let the app see its members; GITHUB_UNAVAILABLE when none does, and one could not be
 * asked.
 */
export async function isMemberOfAny(
  deps: Pick<Deps, 'config'>,
  accessToken: string,
  organizations: readonly string[],
): Promise<boolean> {
  const unusable: AppError[] = []
  for (const organization of organizations) {
    const membership = await findMembership(deps, accessToken, organization)
    if (membership === true) return true
    if (membership !== false) unusable.push(membership)
  }
  const [first] = unusable
  if (first === undefined) return false
  throw unusable.find(({ code }) => code === 'GITHUB_ORG_ACCESS_RESTRICTED') ?? first
}

// Returns the error for a response that cannot be used. Throws where none came: GitHub is away, and
// each of the others would be waited for as long.
async function findMembership(
  deps: Pick<Deps, 'config'>,
  accessToken: string,
  organization: string,
): Promise<boolean | AppError> {
  const result = await callGithubApi(deps, `/user/memberships/orgs/${encodeURIComponent(organization)}`, accessToken)
  const { status } = result.report
  // Also for an organization that does not exist.
  if (status === 404) return false
  const membership = membershipShape.safeParse(result.ok && status === 200 ? result.value : null)
  if (membership.success) return membership.data.state === 'active'
  // The organization restricts OAuth apps (docs.github.com, "About OAuth app access restrictions"),
  // or requires single sign-on or an address of its own.
  const isRestricted = findGithubRefusal(result) !== null
  const error = githubApiError(isRestricted ? 'GITHUB_ORG_ACCESS_RESTRICTED' : 'GITHUB_UNAVAILABLE', result)
  if (status === null) throw error
  return error
}
