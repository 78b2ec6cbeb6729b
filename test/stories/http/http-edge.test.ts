import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sendRaw, statusOf } from '../../support/raw-http.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

describe('C-06 S-09 every response', () => {
  const requests: [method: string, path: string, headers: Record<string, string>][] = [
    ['GET', '/', {}],
    ['GET', '/healthz', {}],
    ['GET', '/readyz', {}],
    ['GET', '/nowhere', {}],
    ['GET', '/graphql', {}],
    ['GET', '/graphql', { accept: 'text/html' }],
    ['POST', '/graphql', { 'content-type': 'application/json' }],
    ['POST', '/graphql', { 'content-type': 'text/plain' }],
    ['POST', '/graphql', { 'sec-fetch-site': 'cross-site' }],
    ['PUT', '/graphql', {}],
    ['GET', '/auth/github', {}],
    ['GET', '/auth/github?returnTo=//evil.example', {}],
    ['GET', '/auth/github/callback?state=x&code=y', {}],
    ['GET', '/auth/x', { 'sec-fetch-site': 'cross-site' }],
    ['GET', '/auth/x', {}],
    ['GET', '/auth/x/callback?state=x&code=y', {}],
    ['POST', '/auth/sign-out', {}],
    ['POST', '/auth/token/revoke', {}],
  ]

  test.each(requests)(
    'S-09 of %s %s %j forbids caching, framing, content sniffing and referrers',
    async (method, path, headers) => {
      const { headers: got, status } = await person.request(path, {
        method,
        headers,
        ...(method === 'POST' && { body: '{}' }),
      })
      expect(Object.fromEntries(got)).toMatchObject({
        'content-security-policy': expect.stringMatching(/default-src 'none'.*frame-ancestors 'none'.*base-uri 'none'/),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': path.startsWith('/auth/') && status === 303 ? 'unsafe-none' : 'same-origin',
        'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
      expect(got.get('content-security-policy')).not.toMatch(/script-src[^;]*'unsafe/)
      expect(got.get('cache-control')).toBe('no-store')
      expect(got.get('vary')).toBe('Cookie, Authorization, Origin')
      expect(got.has('x-powered-by') || got.has('server')).toBe(false)
      await person.signIn('mara-holt')
    },
  )

  test('has the request’s own id if it is valid, and a generated one otherwise', async () => {
    const idFor = async (id: string) =>
      (await person.request('/healthz', { headers: { 'x-request-id': id } })).headers.get('x-request-id')
    expect(await idFor('load-balancer.42')).toBe('load-balancer.42')
    for (const id of ['short', 'x'.repeat(65), 'has space', '<script>'])
      expect(await idFor(id)).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test('a connection is kept alive longer than the usual 60 s of load balancers', async () => {
  expect((await person.request('/healthz')).headers.get('keep-alive')).toBe('timeout=65')
})

test('O-10 redirects to a provider and back are 303, so that no body is forwarded', async () => {
  const start = await person.request('/auth/x')
  expect(start.status).toBe(303)
  expect((await person.request('/auth/x/callback?error=access_denied&state=x')).status).toBe(303)
  expect((await person.request('/auth/sign-out', { method: 'POST', body: 'x' })).status).toBe(303)
  await person.signIn('mara-holt')
})

describe('O-09 C-07 a forged Host header', () => {
  const hosts = [
    'evil.example',
    'evil.example:80',
    '127.0.0.1.evil.example',
    'localhost',
    '127.0.0.1@evil.example',
    '[::1]',
    'a b',
    '[',
    '',
    '%00',
    '../../..',
    '\u00ff',
  ]
  test('does not change the callback URLs', async () => {
    const { cookie } = cookieOf(person)
    for (const host of hosts) {
      for (const path of ['/auth/github', '/auth/x']) {
        const forwarded =
          'X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil.example;proto=https\r\nX-Original-Host: evil.example'
        const response = await sendRaw(
          world.url,
          `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${forwarded}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
        )
        expect([303, 400], `${host}: ${response}`).toContain(statusOf(response))
        const location = /^location: (\S+)/im.exec(response)?.[1]
        expect(location === undefined).toBe(statusOf(response) === 400)
        if (location === undefined) continue
        const redirectUri = new URL(location).searchParams.get('redirect_uri')
        expect(redirectUri, host).toBe(`${world.url}${path}/callback`)
        expect(response, host).not.toMatch(/evil/)
      }
    }
  })

  test('nor do the forwarded host and scheme of a trusted proxy, of which only the client address is used', async () => {
    const behindProxy = await startWorld({ TRUSTED_PROXIES: '127.0.0.1' })
    const lines = ['X-Forwarded-For: 203.0.113.7', 'X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https']
    const head = [...lines, 'Forwarded: host=evil.example;proto=https', 'Connection: close'].join('\r\n')
    const response = await sendRaw(
      behindProxy.url,
      `GET /auth/github HTTP/1.1\r\nHost: evil.example\r\n${head}\r\n\r\n`,
    )
    const location = /^location: (\S+)/im.exec(response)?.[1] ?? ''
    expect(new URL(location).searchParams.get('redirect_uri')).toBe(`${behindProxy.url}/auth/github/callback`)
    expect(response).not.toMatch(/evil|secure/i)
    expect(behindProxy.logs()).toContain('"address":"203.0.113.7"')
    await behindProxy.close()
  })

  test('is redirected to the configured name only from another name of this machine', async () => {
    const visit = (host: string, path = '/x?a=1') =>
      sendRaw(world.url, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`)
    const { port } = new URL(world.url)
    expect(await visit(`localhost:${port}`)).toMatch(new RegExp(`^HTTP/1.1 302 [^]*location: ${world.url}/x\\?a=1\r\n`))
    expect(await visit(`localhost:${port}`, '//evil.example/')).toMatch(
      new RegExp(`location: ${world.url}//evil.example/\r\n`),
    )
    expect(statusOf(await visit('evil.example'))).toBe(404)
  })
})

describe('health', () => {
  test('responds with ok and ready to everybody, to GET and HEAD', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const response = await world.browser().request(path)
      expect([response.status, response.headers.get('set-cookie')]).toEqual([200, null])
      expect((await world.browser().request(path, { method: 'HEAD' })).status).toBe(200)
    }
  })

  test('G-15 is not found at a longer path that ends like it', async () => {
    for (const path of ['/graphql/never', '/graphql/healthz', '/x/readyz', '/readyz/'])
      expect((await person.request(path)).status).toBe(404)
    expect((await person.request('/graphql?x=/readyz')).status).toBe(405)
  })
})
