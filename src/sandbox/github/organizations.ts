import type { Context, Hono } from 'hono'
import type { World } from '../world.ts'
import { findCaller } from './user.ts'

const DOCUMENTATION =
  'https://docs.github.com/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user'
// Each of these includes reading memberships (docs.github.com, "Scopes for OAuth apps").
const SCOPES = ['admin:org', 'read:org', 'repo', 'user', 'write:org']

/**
 * `GET /user/memberships/orgs/{org}` (docs.github.com/rest/orgs/members): the membership of the caller, a
 * 404 for a caller who is no member, and a 403 without the scope, or where the organization restricts OAuth apps
 * (docs.github.com, "About OAuth app access restrictions").
 */
export function addGithubOrganizations(app: Hono, world: World): void {
  app.get('/user/memberships/orgs/:org', (c) => {
    const caller = findCaller(c, world)
    if (caller instanceof Response) return caller
    const { token, person } = caller
    if (!token.scopes.some((scope) => SCOPES.includes(scope))) {
      c.header('x-accepted-oauth-scopes', SCOPES.join(', '))
      return refuse(c, 403, 'You need at least read:org scope to get an organization membership.')
    }
    const name = c.req.param('org').toLowerCase()
    const organization = world.state.github.organizations.find(({ login }) => login.toLowerCase() === name)
    if (organization === undefined) return refuse(c, 404, 'Not Found')
    // Whether or not the caller is a member.
    if (organization.restrictsApps) {
      return refuse(
        c,
        403,
        `Although you appear to have the correct authorization credentials, the \`${organization.login}\` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited. For more information on these restrictions, including how to enable this app, visit https://docs.github.com/articles/restricting-access-to-your-organization-s-data/`,
      )
    }
    const state = organization.members[person.id]
    if (state === undefined) return refuse(c, 404, 'Not Found')
    const url = `${world.url}/orgs/${organization.login}`
    return c.json({
      url: `${url}/memberships/${person.login}`,
      state,
      role: 'member',
      organization_url: url,
      organization: { login: organization.login, url, description: null },
      user: { login: person.login, id: person.id, type: 'User' },
    })
  })
}

function refuse(c: Context, status: 403 | 404, message: string): Response {
  return c.json({ message, documentation_url: DOCUMENTATION, status: String(status) }, status)
}
