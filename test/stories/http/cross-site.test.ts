import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectAttempts, sessions, signInAttempts } from '../../../src/db/tables.ts'
import type { ErrorCode } from '../../../src/error-codes.ts'
import { errorExtensions } from '../../../src/http/error-response.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { readOperation } from '../../support/operations.ts'

const LISTED = 'https://app.example'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld({ ALLOWED_ORIGINS: `${LISTED}, https://other.example` })
  person = await world.signedIn()
})
afterAll(() => world.close())

const own = () => world.url
const foreign = () => [
  ...['https://evil.example', 'null', `${own()}.evil.example`, 'http://127.0.0.1:1', own().replace('http', 'https')],
  ...[
    'http://app.example',
    `${LISTED}:8443`,
    `${LISTED}.evil.example`,
    'https://evil-app.example',
    `${LISTED}, ${LISTED}`,
  ],
  ...[LISTED.toUpperCase(), `${LISTED}/`, 'https://app.example.', ''],
]
const headersOf = (pairs: Record<string, string | null | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(pairs).filter((pair): pair is [string, string] => pair[1] !== null))

describe('a write with the session cookie', () => {
  // A mutation whose effect can be counted.
  const body = JSON.stringify({ query: readOperation('start-x-connect') })
  async function post(contentType: string | null, headers: Record<string, string | null>) {
    const before = await world.db().$count(connectAttempts)
    const response = await person.request('/graphql', {
      method: 'POST',
      headers: headersOf({ 'content-type': contentType, ...headers }),
      // Bytes, because fetch would give a text a content type of its own.
      body: new TextEncoder().encode(body),
    })
    return {
      status: response.status,
      acted: (await world.db().$count(connectAttempts)) > before,
      response: await response.text(),
    }
  }

  test('C-01 is accepted from a listed origin with any other header of the browser, and only as JSON', async () => {
    for (const site of [null, 'same-origin', 'same-site', 'cross-site', 'none', 'x']) {
      for (const contentType of [
        'application/json',
        'application/json; charset=utf-8',
        'text/plain',
        'application/jsonx',
        null,
      ]) {
        const isJson = contentType?.split(';')[0] === 'application/json'
        const { status, acted, response } = await post(contentType, { 'sec-fetch-site': site, origin: LISTED })
        const seen = JSON.stringify({ site, contentType, response })
        expect([status, acted], seen).toEqual(isJson ? [200, true] : [415, false])
      }
    }
  })

  test('C-01 is refused with an unknown value of Sec-Fetch-Site', async () => {
    for (const site of ['x', '', 'same-origin, cross-site', 'SAME-ORIGIN']) {
      for (const origin of [null, own(), 'https://evil.example'])
        expect(await post('application/json', { 'sec-fetch-site': site, origin })).toMatchObject({
          status: 403,
          acted: false,
        })
    }
  })

  test.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])('C-02 %s has no effect', async (method) => {
    const before = await world.db().$count(connectAttempts)
    const response = await person.request('/graphql', { method, headers: { 'content-type': 'application/json' }, body })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST'])
    expect(await world.db().$count(connectAttempts)).toBe(before)
  })

  test('C-01 does not sign anybody out from another site', async () => {
    const before = await world.db().$count(sessions)
    for (const headers of [
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'none' },
      { origin: 'null' },
      { origin: 'https://evil.example' },
    ]) {
      const response = await person.request('/auth/sign-out', { method: 'POST', headers: headersOf(headers) })
      expect([response.status, response.headers.getSetCookie()]).toEqual([403, []])
    }
    expect(await world.db().$count(sessions)).toBe(before)
  })
})

test.each<[string, string, NonNullable<Parameters<Browser['request']>[1]>, number, ErrorCode]>([
  ['another site', '/graphql', { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'FORBIDDEN'],
  ['a link elsewhere', '/auth/x', { headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'FORBIDDEN'],
  ['another method', '/graphql', { method: 'PUT' }, 405, 'METHOD_NOT_ALLOWED'],
  ['a program that reads', '/graphql', { headers: { accept: 'application/json' } }, 405, 'METHOD_NOT_ALLOWED'],
  ['another content type', '/graphql', { method: 'POST', body: 'a=b' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  [
    'a header that is no token',
    '/graphql',
    { headers: { authorization: 'Basic x' }, method: 'POST' },
    401,
    'UNAUTHENTICATED',
  ],
  ['a POST to a route of GET', '/auth/github', { method: 'POST' }, 405, 'METHOD_NOT_ALLOWED'],
  ['a GET of a route of POST', '/auth/sign-out', {}, 405, 'METHOD_NOT_ALLOWED'],
  ['an unknown asset', '/assets/any/none.js', {}, 404, 'NOT_FOUND'],
  ['an unknown path', '/nothing', {}, 404, 'NOT_FOUND'],
])('%s is refused before GraphQL, in the format of the API', async (_what, path, init, status, code) => {
  const response = await person.request(path, init)
  expect([response.status, await response.json()]).toEqual([
    status,
    { errors: [{ message: expect.stringMatching(/^[A-Z].{15,}\.$/), extensions: errorExtensions(code) }] },
  ])
})

test('C-03 a GET changes nothing with any document', async () => {
  const query = encodeURIComponent(readOperation('start-x-connect'))
  const rows = async () => [
    await world.db().select().from(sessions),
    await world.db().select().from(connectAttempts),
    await world.db().select().from(signInAttempts),
  ]
  const before = await rows()
  for (const path of [
    '/',
    '/healthz',
    '/readyz',
    '/auth/sign-out',
    '/graphql',
    `/graphql?query=${query}`,
    '/graphql?query=mutation{signOut{signedOut}}',
  ]) {
    for (const accept of ['text/html', 'application/json', 'text/event-stream', '*/*']) {
      for (const method of ['GET', 'HEAD']) {
        const response = await person.request(path, { method, headers: { accept, 'content-type': 'application/json' } })
        expect(response.status, path).toBeLessThan(500)
        expect(await response.text(), path).not.toContain('authorizationUrl":"')
      }
    }
  }
  expect(await rows()).toEqual(before)
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})

describe('O-11 connecting with GET /auth/x', () => {
  let before: number
  beforeEach(async () => {
    before = await world.db().$count(connectAttempts)
  })

  test.each<[string, string | null, string | null]>([
    ['another site', 'cross-site', null],
    ['a page of another site', 'cross-site', 'https://evil.example/page'],
    ['a page whose host name begins with the gateway’s', 'cross-site', 'http://127.0.0.1.evil.example/'],
    ['a page that names a listed origin as its user', 'cross-site', 'https://app.example@evil.example/'],
    ['a sibling domain', 'same-site', null],
    ['an unknown value', 'x', null],
  ])('does not start from %s', async (_who, site, referer) => {
    const response = await person.request('/auth/x', { headers: headersOf({ 'sec-fetch-site': site, referer }) })
    expect([response.status, await world.db().$count(connectAttempts)]).toEqual([403, before])
  })

  test.each<[string, string | null, () => string | null]>([
    ['our own page', 'same-origin', () => `${own()}/`],
    ['the address bar', 'none', () => null],
    ['a client other than a browser', null, () => null],
    ['a page of a listed origin', 'cross-site', () => `${LISTED}/settings`],
  ])('starts from %s', async (_who, site, referer) => {
    const response = await person.request('/auth/x', {
      headers: headersOf({ 'sec-fetch-site': site, referer: referer() }),
    })
    expect([response.status, await world.db().$count(connectAttempts)]).toEqual([303, before + 1])
    expect(response.headers.get('location')).toContain('/i/oauth2/authorize?')
  })

  test('needs a session', async () => {
    const response = await world.browser().request('/auth/x')
    expect([response.status, await world.db().$count(connectAttempts)]).toEqual([303, before])
    expect(response.headers.get('location')).toBe(`${own()}/?xConnect=failed&code=UNAUTHENTICATED`)
  })
})

describe('C-04 CORS', () => {
  const routes: [string, string][] = [
    ['POST', '/graphql'],
    ['POST', '/auth/sign-out'],
    ['GET', '/'],
    ['GET', '/healthz'],
    ['GET', '/nowhere'],
    ['GET', '/auth/github'],
    ['OPTIONS', '/graphql'],
  ]
  const send = (method: string, path: string, origin: string) =>
    world.browser().request(path, {
      method,
      headers: { origin, 'content-type': 'application/json', 'access-control-request-method': 'POST' },
      ...(method === 'POST' && { body: '{"query":"{ viewer { id } }"}' }),
    })
  const corsHeaders = (response: Awaited<ReturnType<typeof send>>) =>
    [...response.headers.keys()].filter((name) => name.startsWith('access-control-'))

  test('allows no other origin to read responses, and never echoes one', async () => {
    for (const origin of foreign()) {
      for (const [method, path] of routes)
        expect(corsHeaders(await send(method, path, origin)), `${method} ${path} ${origin}`).toEqual([])
    }
  })

  test.each(['/graphql', '/auth/sign-out', '/auth/github', '/nowhere'])(
    'lets a listed origin read the response of %s',
    async (path) => {
      for (const method of path === '/auth/github' || path === '/nowhere' ? ['GET'] : ['POST']) {
        const response = await send(method, path, LISTED)
        expect(response.headers.get('access-control-allow-origin')).toBe(LISTED)
        expect(response.headers.get('access-control-allow-credentials')).toBe('true')
        expect(response.headers.get('vary')).toContain('Origin')
      }
    },
  )

  test('allows a listed origin to read refusals', async () => {
    const response = await world
      .browser()
      .request('/graphql', { method: 'POST', headers: { origin: LISTED, 'content-type': 'text/plain' }, body: 'x' })
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([415, LISTED])
    const byGet = await world.browser().request('/graphql?query={viewer{id}}', { headers: { origin: LISTED } })
    expect([byGet.status, byGet.headers.get('access-control-allow-origin')]).toEqual([405, LISTED])
    const unknown = { origin: LISTED, authorization: 'Bearer nothing' }
    const { headers } = await world.browser().request('/graphql', { method: 'POST', headers: unknown, body: '{}' })
    const exposed = headers.get('access-control-expose-headers')?.toLowerCase().split(', ')
    for (const name of ['www-authenticate', 'retry-after', 'ratelimit', 'x-request-id']) expect(exposed).toContain(name)
  })

  test('responds to its preflight with exactly the methods and headers that the API needs', async () => {
    const response = await send('OPTIONS', '/graphql', LISTED)
    expect(response.status).toBe(204)
    expect(Object.fromEntries(corsHeaders(response).map((name) => [name, response.headers.get(name)]))).toEqual({
      'access-control-allow-origin': LISTED,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': expect.stringMatching(
        /^content-type, authorization, x-request-id, [a-z0-9, -]+$/,
      ),
      'access-control-max-age': '600',
    })
  })
})
