// The rules for all routes. The list comes from the router, so that a new route is checked too.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRouter } from '../../../src/app.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { defaultRateLimits } from '../../../src/config/rate-limits.ts'
import { randomToken } from '../../../src/crypto.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { queryRows } from '../../support/connected-account.ts'
import { expectSafePage, findPolicyFaults } from '../../support/content-policy.ts'
import { parseSpans, readDocument } from '../../support/documents/markdown.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

let world: World
let instance: Instance
let person: Browser
let routes: { method: string; path: string }[]
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  // ALL is a middleware.
  routes = createRouter(instance.deps, () => false).routes.filter(({ method }) => method !== 'ALL')
})
beforeEach(async () => {
  person = await world.connected('maraholt')
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

/** Returns a path of the route; the parameters are those of an existing asset. */
const pathOf = (path: string) => path.replace(':version', 'any').replace(':name{.+}', 'console/page/icon.svg')

test('the complete list of routes, with the assets of the pages', () => {
  expect(new Set(routes.map(({ method, path }) => `${method} ${path}`))).toEqual(
    new Set([
      ...['GET /', 'GET /graphql', 'POST /graphql'],
      ...['GET /auth/github', 'GET /auth/github/callback', 'GET /auth/x', 'GET /auth/x/callback'],
      ...['POST /auth/sign-out', 'POST /auth/token/revoke', 'GET /healthz', 'GET /readyz'],
      ...['GET /favicon.ico', 'GET /assets/:version/:name{.+}'],
    ]),
  )
})

test('docs/front-ends.md lists the routes, without assets', () => {
  const spans = parseSpans(readDocument('docs/front-ends.md'))
  const named = spans.filter((span) => /^(?:GET|POST) \/\S*$/.test(span))
  const shown = routes
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !/\/favicon|\/assets/.test(route))
  expect(new Set(named)).toEqual(new Set(shown))
})

describe('G-24 the table of what a request can cause', () => {
  const rows = () => {
    const [, section = ''] = readDocument('SECURITY.md').split('## What a request can cause')
    const [table = ''] = section.split('\n## ')
    return table
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| request'))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, request = '', causes = '', charged = '', bound = '']) => ({ request, causes, charged, bound }))
  }

  test('has each route, and no other', () => {
    const listed = rows().flatMap(({ request }) => /^`([A-Z]+ [^`]+)`/.exec(request)?.[1] ?? [])
    expect(new Set(listed)).toEqual(new Set(routes.map(({ method, path }) => `${method} ${path}`)))
  })

  test('names for each request that causes statements what bounds them, and limits that exist', () => {
    const working = rows().filter(({ causes }) => !causes.startsWith('no statement'))
    expect(working.length).toBeGreaterThan(8)
    for (const { request, charged, bound } of working) {
      expect(bound, request).not.toBe('')
      if (!request.includes('/readyz')) expect(charged, request).not.toBe('')
      for (const [, name] of charged.matchAll(/`([a-z-]+)`/g)) expect(Object.keys(defaultRateLimits)).toContain(name)
    }
  })

  test('is right about the routes that cause no statement', async () => {
    const quiet = rows().filter(({ request, causes }) => causes === 'no statement' && request.startsWith('`'))
    expect(quiet.length).toBeGreaterThan(3)
    const credentials = [
      {},
      cookieOf(person),
      { cookie: `xconnect_session=${randomToken()}` },
      bearer(createSecret(crypto.randomUUID())),
    ]
    for (const { request } of quiet) {
      const [method = '', path = ''] = request.replaceAll('`', '').split(' ')
      const queries = await instance.queriesOf(async () => {
        for (const headers of credentials) {
          const { status } = await instance.request(pathOf(path), {
            method,
            headers: { accept: 'text/html', ...headers },
          })
          expect(status, request).toBeLessThan(400)
        }
      })
      expect(queries, request).toEqual([])
    }
    const foreign = await instance.queriesOf(async () => {
      for (const { path } of routes.filter(({ method, path }) => method === 'POST' && !path.endsWith('/revoke'))) {
        const headers = { ...cookieOf(person), origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
        expect((await instance.request(path, { method: 'POST', headers, body: '{}' })).status, path).toBe(403)
      }
    })
    expect(foreign).toEqual([])
  })
})

test('C-03 no GET with a session changes a row, except for attempts and rate limits', async () => {
  const before = await digest()
  for (const { path } of routes.filter(({ method }) => method === 'GET')) {
    for (const accept of ['text/html', 'application/json', 'text/event-stream']) {
      for (const method of ['GET', 'HEAD']) {
        const query = new URLSearchParams({ query: 'mutation { signOut { signedOut } }', state: 'x', code: 'x' })
        const response = await person.request(`${pathOf(path)}?${query}`, {
          method,
          headers: { accept, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' },
        })
        expect(response.status, `${method} ${path}`).toBeLessThan(500)
        expect(await digest(), `${method} ${path}`).toEqual(before)
      }
    }
  }
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})

describe('C-04 no route allows another origin to read responses', () => {
  test.each([
    ['another site', () => 'https://evil.example'],
    ['a page without an origin', () => 'null'],
    ['a name that ends as another site', () => `${world.url}.evil.example`],
    ['a name that begins as another site', () => world.url.replace('://', '://evil')],
    ['the same host with another scheme', () => world.url.replace('http', 'https')],
    ['another port of the same host', () => 'http://127.0.0.1:1'],
    ['our own origin, which needs none', () => world.url],
  ])('%s', async (_who, originOf) => {
    for (const { method, path } of routes) {
      for (const by of [method, 'OPTIONS']) {
        const headers = { origin: originOf(), 'access-control-request-method': method }
        const response = await person.request(pathOf(path), {
          method: by,
          headers,
          ...(by === 'POST' && { body: '{}' }),
        })
        const allowed = [...response.headers.keys()].filter((name) => name.startsWith('access-control-'))
        expect(allowed, `${by} ${path}`).toEqual([])
      }
    }
  })
})

/** A redirect of an OAuth flow keeps a popup's opener; pages and everything else do not. */
const openerPolicyOf = (path: string, status: number) =>
  path.startsWith('/auth/') && [302, 303].includes(status) ? 'unsafe-none' : 'same-origin'

describe('C-06 S-09 every response', () => {
  const requests = () => [...routes, { method: 'GET', path: '/nowhere' }, { method: 'GET', path: '/auth/nowhere' }]

  test('forbids caching, framing, content sniffing, referrers and device access', async () => {
    for (const { method, path } of requests()) {
      for (const site of ['same-origin', 'cross-site']) {
        const headers = { 'sec-fetch-site': site, accept: 'text/html' }
        const response = await person.request(pathOf(path), {
          method,
          headers,
          ...(method === 'POST' && { body: '{}' }),
        })
        const seen = `${method} ${path} ${site} ${response.status}`
        expect(Object.fromEntries(response.headers), seen).toMatchObject({
          'x-content-type-options': 'nosniff',
          'x-frame-options': 'DENY',
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': openerPolicyOf(path, response.status),
          'cross-origin-resource-policy': 'same-origin',
          'permissions-policy': 'camera=(), microphone=(), geolocation=()',
        })
        expect(findPolicyFaults(response.headers.get('content-security-policy') ?? ''), seen).toEqual([])
        // Assets are the same for every client; this URL has another version, and is revalidated
        // each time.
        const cacheControl = path.startsWith('/assets/') ? 'no-cache' : 'no-store'
        expect(response.headers.get('cache-control'), seen).toBe(cacheControl)
        if (cacheControl === 'no-store')
          expect(response.headers.get('vary'), seen).toBe('Cookie, Authorization, Origin')
        else expect(response.headers.getSetCookie(), seen).toEqual([])
      }
    }
  })

  test('that is a page allows only scripts and assets of the gateway', async () => {
    const pages = new Set<string>()
    const missing = new Set<string>()
    for (const { path } of requests()) {
      const response = await person.request(pathOf(path), { headers: { accept: 'text/html' } })
      if (!response.headers.get('content-type')?.startsWith('text/html')) continue
      if (response.status === 404) missing.add(path)
      else pages.add(path)
      expectSafePage(response.headers.get('content-security-policy'), await response.text())
    }
    expect(pages).toEqual(new Set(['/', '/graphql']))
    expect(missing).toContain('/nowhere')
  })

  test('allows images of the sandbox, and no other http source', async () => {
    const policy = (await person.request('/')).headers.get('content-security-policy') ?? ''
    expect(policy.match(/http:[^\s;]+/g)).toEqual([world.sandbox.url])
  })

  test('the csp_evaluator finds weaknesses in a weak policy', () => {
    expect(findPolicyFaults("default-src 'none'; script-src 'self' 'unsafe-inline'")).toHaveLength(1)
    expect(findPolicyFaults("default-src 'none'; script-src *")).toHaveLength(1)
    expect(findPolicyFaults("img-src 'self'").length).toBeGreaterThan(0)
  })
})

test('a browser finds an icon for responses that are not pages', async () => {
  const response = await person.request('/favicon.ico')
  expect(response.status).toBe(302)
  const icon = await person.request(response.headers.get('location') ?? '')
  expect([icon.status, icon.headers.get('content-type')]).toEqual([200, 'image/svg+xml'])
})

/**
 * The rows of every table, except attempts, which a GET may start, rate limits, and the progress of
 * background work.
 */
async function digest(): Promise<unknown> {
  const names = await queryRows(
    world,
    sql`select table_name as name from information_schema.tables where table_schema = 'public'
        and table_name not in ('connect_attempts', 'sign_in_attempts', 'rate_limits', 'event_horizons') order by 1`,
  )
  expect(names.length).toBeGreaterThan(12)
  const rowsOf = (name: string) =>
    queryRows(
      world,
      sql`select count(*) as rows, md5(string_agg(t::text, '' order by t::text)) from ${sql.identifier(name)} t`,
    )
  const digests: unknown[] = []
  for (const { name } of names) digests.push([name, ...(await rowsOf(String(name)))])
  return digests
}
