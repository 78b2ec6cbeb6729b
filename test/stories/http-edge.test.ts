import { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../browser.ts'
import { startWorld, type World } from '../harness.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

/** Sends bytes as they are, and returns all that comes back. Who says nothing for a while is taken to wait for more. */
function sendRaw(bytes: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = new Socket()
  let answer = ''
  socket.setEncoding('latin1')
  socket.on('data', (data) => {
    answer += data
  })
  socket.once('close', () => resolve(answer))
  socket.once('error', (error) => ('code' in error && error.code === 'ECONNRESET' ? resolve(answer) : reject(error)))
  socket.setTimeout(1_000, () => socket.destroy())
  socket.connect(Number(new URL(world.url).port), '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')))
  return promise
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

describe('every answer', () => {
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
  ]

  test.each(requests)(
    'of %s %s %j keeps itself from caches, frames, sniffing and referrers',
    async (method, path, headers) => {
      const { headers: got } = await person.request(path, { method, headers, ...(method === 'POST' && { body: '{}' }) })
      expect(Object.fromEntries(got)).toMatchObject({
        'content-security-policy': expect.stringMatching(/default-src 'none'.*frame-ancestors 'none'.*base-uri 'none'/),
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
      expect(got.get('content-security-policy')).not.toMatch(/script-src[^;]*'unsafe/)
      // What depends on who is asking is kept by nobody.
      if (!path.match(/^\/(graphql)?$/)) expect(got.get('cache-control')).toBe('no-store')
      if (got.get('cache-control') === 'no-store') expect(got.get('vary')).toBe('Cookie, Authorization, Origin')
      expect(got.has('x-powered-by') || got.has('server')).toBe(false)
      await person.signIn('mara-holt')
    },
  )

  test('has the request’s id where that is a sane one, and one of ours otherwise', async () => {
    const idFor = async (id: string) =>
      (await person.request('/healthz', { headers: { 'x-request-id': id } })).headers.get('x-request-id')
    expect(await idFor('load-balancer.42')).toBe('load-balancer.42')
    for (const id of ['short', 'x'.repeat(65), 'has space', '<script>'])
      expect(await idFor(id)).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test('redirects to a provider and back are 303, so that no body is ever sent along', async () => {
  const start = await person.request('/auth/x')
  expect(start.status).toBe(303)
  expect((await person.request('/auth/x/callback?error=access_denied&state=x')).status).toBe(303)
  expect((await person.request('/auth/sign-out', { method: 'POST', body: 'x' })).status).toBe(303)
  await person.signIn('mara-holt')
})

describe('a poisoned Host', () => {
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
    '../..',
    '\u00ff',
  ]
  test('does not change where GitHub and X send a browser back to', async () => {
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    for (const host of hosts) {
      for (const path of ['/auth/github', '/auth/x']) {
        const forwarded =
          'X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil.example;proto=https\r\nX-Original-Host: evil.example'
        const answer = await sendRaw(
          `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${forwarded}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
        )
        expect([303, 400], `${host}: ${answer}`).toContain(statusOf(answer))
        const location = /^location: (\S+)/im.exec(answer)?.[1]
        expect(location === undefined).toBe(statusOf(answer) === 400)
        if (location === undefined) continue
        const redirectUri = new URL(location).searchParams.get('redirect_uri')
        expect(redirectUri, host).toBe(`${world.url}${path}/callback`)
        expect(answer, host).not.toMatch(/evil/)
      }
    }
  })

  test('is sent to the configured name only from another name of this machine', async () => {
    const visit = (host: string, path = '/x?a=1') =>
      sendRaw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`)
    const { port } = new URL(world.url)
    expect(await visit(`localhost:${port}`)).toMatch(new RegExp(`^HTTP/1.1 302 [^]*location: ${world.url}/x\\?a=1\r\n`))
    expect(await visit(`localhost:${port}`, '//evil.example/')).toMatch(
      new RegExp(`location: ${world.url}//evil.example/\r\n`),
    )
    expect(statusOf(await visit('evil.example'))).toBe(404)
  })
})

describe('health', () => {
  test('says ok and ready to anybody, in any method of reading', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const answer = await world.browser().request(path)
      expect([answer.status, answer.headers.get('set-cookie')]).toEqual([200, null])
      expect((await world.browser().request(path, { method: 'HEAD' })).status).toBe(200)
    }
  })

  test('is not found where a path only ends like it', async () => {
    for (const path of ['/graphql/never', '/graphql/healthz', '/x/readyz', '/readyz/'])
      expect((await person.request(path)).status).toBe(404)
  })
})

describe('junk', () => {
  const lines = [
    ...[
      'TRACE / HTTP/1.1',
      'TRACK / HTTP/1.1',
      'CONNECT evil.example:443 HTTP/1.1',
      'PROPFIND / HTTP/1.1',
      'QUERY /graphql HTTP/1.1',
    ],
    ...[
      'OPTIONS * HTTP/1.1',
      'GET * HTTP/1.1',
      'GET http://evil.example/ HTTP/1.1',
      'GET http://[::1 HTTP/1.1',
      'GET //evil.example/ HTTP/1.1',
    ],
    ...[
      'GET /%ff HTTP/1.1',
      'GET /% HTTP/1.1',
      'GET /%00 HTTP/1.1',
      'GET /../../etc/passwd HTTP/1.1',
      'GET /\\..\\x HTTP/1.1',
      'GET /a\x7fb HTTP/1.1',
    ],
    ...[
      'GET /\xff\xfe HTTP/1.1',
      'GET ? HTTP/1.1',
      'GET  HTTP/1.1',
      'GET / HTTP/1.0',
      'GET / HTTP/9.9',
      'get / HTTP/1.1',
      'GET /',
      '\x16\x03\x01',
      '{}',
    ],
    ...[
      'GET /auth/github?returnTo HTTP/1.1',
      'GET /auth/github?returnTo=%E0%A4%A HTTP/1.1',
      'GET /auth/x/callback? HTTP/1.1',
      `GET /${'a'.repeat(15_000)} HTTP/1.1`,
    ],
    ...[
      'GET /auth/x/callback?state=%00&code=%00 HTTP/1.1',
      'GET /auth/github/callback?state[]=x HTTP/1.1',
      `GET /?${'a&'.repeat(7_000)} HTTP/1.1`,
    ],
  ]
  const heads = [
    '',
    'Host: x\r\nContent-Length: -1',
    'Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked',
    'Host: x\r\nTransfer-Encoding: nonsense',
    'Host: x\r\nCookie: \x01\x02\x80\xff',
    'Host: x\r\nAuthorization: Bearer \xff\r\nX-Forwarded-For: ,,,',
    'Host: a\r\nHost: b',
    'Host: x\r\nX-Long: '.padEnd(20_000, 'x'),
    'Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13',
    'Host: x\r\nExpect: 100-continue',
    'Host: x\r\nOrigin: \xff\r\nReferer: ::::\r\nSec-Fetch-Site: \xff\r\nAccept: \xff',
  ]

  test('at the level of HTTP gets a 4xx or a closed connection, never a 5xx, and the gateway goes on', {
    timeout: 60_000,
  }, async () => {
    const statuses: number[] = []
    for (const line of lines) {
      const answer = await sendRaw(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`)
      expect(statusOf(answer), `${JSON.stringify(line.slice(0, 80))}: ${answer}`).toBeLessThan(500)
      statuses.push(statusOf(answer))
    }
    expect(statuses.filter((status) => status >= 400).length).toBeGreaterThan(20)
    for (const head of heads) {
      for (const line of [
        'GET / HTTP/1.1',
        'POST /graphql HTTP/1.1',
        'GET /auth/x/callback?state=x HTTP/1.1',
        'POST /auth/sign-out HTTP/1.1',
      ]) {
        const answer = await sendRaw(
          `${line}\r\n${head}${head === '' ? '' : '\r\n'}Content-Type: application/json\r\nConnection: close\r\n\r\n`,
        )
        expect(statusOf(answer), `${line} ${JSON.stringify(head.slice(0, 80))}: ${answer}`).toBeLessThan(500)
      }
    }
    expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  })

  test('in every route’s query, cookie and body is nobody’s error', { timeout: 60_000 }, async () => {
    const routes = [
      '/',
      '/graphql',
      '/healthz',
      '/readyz',
      '/auth/github',
      '/auth/github/callback',
      '/auth/x',
      '/auth/x/callback',
      '/auth/sign-out',
      '/nowhere',
    ]
    const texts = [
      '',
      '\0',
      '\ud800',
      '💥',
      "'; drop table users; --",
      '../../etc/passwd',
      '<script>',
      '%',
      '{"$gt":""}',
      'null',
      'x'.repeat(2_000),
      '\r\nX-Evil: 1',
      '-1',
      '1e999',
    ]
    const names = [
      'state',
      'code',
      'error',
      'returnTo',
      'scopes',
      'expectedUsername',
      'reconnectAccountId',
      'query',
      '__proto__',
    ]
    for (const route of routes) {
      for (const text of texts) {
        const query = new URLSearchParams(names.map((name) => [name, text]))
        const one = new URLSearchParams([[names[text.length % names.length] ?? '', text]])
        for (const [method, search, body] of [
          ['GET', query, null],
          ['GET', one, null],
          ['POST', one, text],
          ['DELETE', one, text],
        ] as const) {
          const answer = await person.request(`${route}?${search}`, {
            method,
            headers: { 'content-type': 'application/json', accept: text.length % 2 === 0 ? 'text/html' : '*/*' },
            ...(body !== null && { body }),
          })
          expect(answer.status, `${method} ${route} ${JSON.stringify(text)}`).toBeLessThan(500)
          expect(answer.headers.has('x-evil')).toBe(false)
          if (route === '/auth/sign-out') await person.signIn('mara-holt')
        }
      }
    }
    expect(world.logs()).not.toMatch(/"level":"error"/)
  })
})
