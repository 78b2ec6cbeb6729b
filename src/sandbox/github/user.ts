import type { Context, Hono } from 'hono'
import type { GithubPerson, GithubToken } from '../state.ts'
import type { World } from '../world.ts'

/** GitHub's API as far as a sign-in needs it: `GET /user` (docs.github.com/rest/users/users). */
export function addGithubUser(app: Hono, world: World): void {
  app.get('/user', (c) => {
    const caller = findCaller(c, world)
    if (caller instanceof Response) return caller
    const { token, person } = caller
    const { id, login, name, email, bio } = person
    return c.json(
      {
        login,
        id,
        node_id: Buffer.from(`04:User${id}`).toString('base64'),
        avatar_url: `${world.url}/assets/avatars/github/${id}.svg`,
        gravatar_id: '',
        url: `${world.url}/users/${login}`,
        html_url: `${world.url}/${login}`,
        type: 'User',
        user_view_type: 'public',
        site_admin: false,
        name,
        company: null,
        blog: '',
        location: null,
        email,
        hireable: null,
        bio,
        twitter_username: null,
        public_repos: 12,
        public_gists: 0,
        followers: 34,
        following: 21,
        created_at: '2016-03-01T09:12:44Z',
        updated_at: '2026-07-01T00:00:00Z',
      },
      200,
      {
        'x-oauth-scopes': token.scopes.join(', '),
        'x-github-media-type': 'github.v3; format=json',
        'x-ratelimit-limit': '5000',
        'x-ratelimit-remaining': '4999',
      },
    )
  })
}

/** Returns who sends a request, or GitHub's refusal of it. */
export function findCaller(c: Context, world: World): { token: GithubToken; person: GithubPerson } | Response {
  // GitHub rejects requests without a User-Agent header before all other checks.
  if ((c.req.header('user-agent') ?? '') === '') {
    return c.text(
      'Request forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required).\n',
      403,
    )
  }
  const version = c.req.header('x-github-api-version')
  if (version !== undefined && !/^20\d\d-\d\d-\d\d$/.test(version)) {
    return c.json(
      { message: `Invalid API version: ${version}`, documentation_url: 'https://docs.github.com/rest' },
      400,
    )
  }
  const credentials = /^(?:bearer|token) +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
  const token = world.state.github.tokens.find(({ value }) => value === credentials)
  const person = world.state.github.people.find(({ id }) => id === token?.personId)
  if (token === undefined || person === undefined) {
    const message = credentials === undefined ? 'Requires authentication' : 'Bad credentials'
    return c.json({ message, documentation_url: 'https://docs.github.com/rest', status: '401' }, 401)
  }
  if (world.switches.githubStanding.suspended.has(person.id)) {
    return c.json(
      {
        message: 'Sorry. Your account was suspended.',
        documentation_url: 'https://docs.github.com/rest',
        status: '403',
      },
      403,
    )
  }
  return { token, person }
}
