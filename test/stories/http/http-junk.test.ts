import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sendRaw, statusOf } from '../../support/raw-http.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

describe('malformed input', () => {
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

  test('at the level of HTTP gets a 4xx or a closed connection, never a 5xx, and the gateway keeps serving', async () => {
    const statuses: number[] = []
    for (const line of lines) {
      const response = await sendRaw(world.url, `${line}\r\nHost: x\r\nConnection: close\r\n\r\n`)
      expect(statusOf(response), `${JSON.stringify(line.slice(0, 80))}: ${response}`).toBeLessThan(500)
      statuses.push(statusOf(response))
    }
    expect(statuses.filter((status) => status >= 400).length).toBeGreaterThan(20)
    for (const head of heads) {
      for (const line of [
        'GET / HTTP/1.1',
        'POST /graphql HTTP/1.1',
        'GET /auth/x/callback?state=x HTTP/1.1',
        'POST /auth/sign-out HTTP/1.1',
      ]) {
        const response = await sendRaw(
          world.url,
          `${line}\r\n${head}${head === '' ? '' : '\r\n'}Content-Type: application/json\r\nConnection: close\r\n\r\n`,
        )
        expect(statusOf(response), `${line} ${JSON.stringify(head.slice(0, 80))}: ${response}`).toBeLessThan(500)
      }
    }
    expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  })

  test('in the query, cookie and body of every route causes no internal error', async () => {
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
          const response = await person.request(`${route}?${search}`, {
            method,
            headers: { 'content-type': 'application/json', accept: text.length % 2 === 0 ? 'text/html' : '*/*' },
            ...(body !== null && { body }),
          })
          expect(response.status, `${method} ${route} ${JSON.stringify(text)}`).toBeLessThan(500)
          expect(response.headers.has('x-evil')).toBe(false)
          if (route === '/auth/sign-out') await person.signIn('mara-holt')
        }
      }
    }
    expect(world.logs()).not.toMatch(/"level":"error"/)
  })
})
