// Cookies that the gateway has not set: they sign nobody in and cause no error.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sendRaw, statusOf } from '../../support/raw-http.ts'

let world: World
let good: string
beforeAll(async () => {
  world = await startWorld()
  good = (await world.signedIn()).cookies.get(SESSION) ?? ''
})
afterAll(() => world.close())

const SESSION = 'xconnect_session'
const QUERY = '{"query":"{ viewer { id } }"}'
const NOBODY = '{"data":{"viewer":null}}'

async function ask(cookie: string): Promise<{ status: number; body: string }> {
  const head = `POST /graphql HTTP/1.1\r\nHost: ${new URL(world.url).host}\r\nConnection: close\r\nContent-Type: application/json\r\nSec-Fetch-Site: same-origin`
  const response = await sendRaw(
    world.url,
    `${head}\r\nContent-Length: ${QUERY.length}\r\nCookie: ${cookie}\r\n\r\n${QUERY}`,
  )
  return { status: statusOf(response), body: response.slice(response.indexOf('\r\n\r\n') + 4) }
}

/** As sent by a client that encodes in UTF-8. A line break would begin another header. */
const inBytes = (text: string) => Buffer.from(text.replaceAll(/[\r\n]/g, ' '), 'utf8').toString('latin1')

const token = fc.oneof(
  fc.stringMatching(/^[\w-]{43}$/),
  fc.tuple(fc.uuid(), fc.stringMatching(/^[\w-]{43}$/)).map((parts) => parts.join('.')),
)
const value = fc.oneof(
  token,
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.stringMatching(/^(%[0-9a-fA-F]{0,2}|[\w-]){30,50}$/),
  token.map((text) => `"${text}"`),
  token.map((text) => `${text}\u0000`),
  token.map((text) => ` ${text}\t`),
  fc.constantFrom('', '=', ';', '%00', '%', "' or 1=1 --", '{}', '[object Object]', '__proto__', 'null'),
  fc.integer({ min: 44, max: 8_000 }).map((length) => 'A'.repeat(length)),
  fc.constant('A'.repeat(16_384)),
)
const name = fc.oneof(
  { weight: 4, arbitrary: fc.constant(SESSION) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('xconnect_sign_in_0123456789abcdef', '__Host-xconnect_session', '__proto__', ''),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
)
const header = fc
  .array(fc.tuple(name, fc.constantFrom('=', '=', '=', '==', ''), value), { minLength: 1, maxLength: 4 })
  .chain((pairs) =>
    fc.constantFrom('; ', ';', ' ; ', ',').map((between) => pairs.map((pair) => pair.join('')).join(between)),
  )

test('S-08 two thousand generated cookies are anonymous or malformed, and never cause a 5xx', async () => {
  const seen = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(header, async (text) => {
      const { status, body } = await ask(inBytes(text))
      seen.set(status, (seen.get(status) ?? 0) + 1)
      expect([200, 400, 431]).toContain(status)
      if (status === 200) expect(body).toContain(NOBODY)
    }),
    { numRuns: 2_000 },
  )
  // Each kind of response occurred: looked up, invalid HTTP, too large for a header.
  expect([...seen.keys()].toSorted()).toEqual([200, 400, 431])
  expect(world.logs()).not.toMatch(/"level":"(error|fatal)"/)
  expect((await ask(`${SESSION}=${good}`)).body).not.toContain(NOBODY)
})

test('S-08 of one cookie under two names, or one name twice, the first possible session counts', async () => {
  const isSomebody = async (cookie: string) => {
    const { status, body } = await ask(cookie)
    expect(status).toBe(200)
    return !body.includes(NOBODY)
  }
  expect(await isSomebody(`a=b; ${SESSION}=${good}`)).toBe(true)
  expect(await isSomebody(`${SESSION}=${good}; ${SESSION}=${'A'.repeat(43)}`)).toBe(true)
  expect(await isSomebody(`${SESSION}=${'A'.repeat(43)}; ${SESSION}=${good}`)).toBe(false)
  expect(await isSomebody(`__Host-${SESSION}=${good}`)).toBe(false)
})

describe('S-08 a junk cookie', () => {
  const token = 'A'.repeat(43)
  const values = [
    ...[
      '',
      '=',
      ';',
      '%',
      '%00',
      '%zz',
      '%E0%A4%A',
      'null',
      'undefined',
      '[object Object]',
      '{}',
      '"',
      `"${token}"`,
      `"${token}`,
    ],
    ...[
      `${token}A`,
      token.slice(1),
      `${token.slice(1)}.`,
      `${token.slice(2)}%00`,
      `${token} `,
      ` ${token}`,
      `${token}\t`,
      token,
    ],
    ...[
      "' or 1=1 --",
      '../../etc/passwd',
      '<script>',
      '💥'.repeat(10),
      'é'.repeat(43),
      'ÿ'.repeat(43),
      'x'.repeat(4096),
    ],
    ...Array.from({ length: 40 }, (_, index) => String.fromCharCode(33 + index * 2).repeat(43)),
  ]
  // By the name that the callback below looks for.
  const signInCookie = `xconnect_sign_in_${sha256('x').slice(0, 16)}`
  const headers = values.flatMap((value) => [
    `${SESSION}=${value}`,
    `${signInCookie}=${value}`,
    `${SESSION}=${value}; ${SESSION}=${value}x; ${signInCookie}`,
  ])

  test('is anonymous, never causes a 5xx, and never reaches the database as text: two hundred of them', async () => {
    expect(headers.length).toBeGreaterThan(190)
    const person = world.browser()
    for (const header of headers) {
      const cookie = inBytes(header)
      const response = await person.request('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie },
        body: '{"query":"{ viewer { id } }"}',
      })
      expect([response.status, await response.json()], header).toEqual([200, { data: { viewer: null } }])
      const callback = await person.request('/auth/github/callback?state=x&code=x', { headers: { cookie } })
      expect(callback.status, header).toBe(303)
    }
    expect(world.logs()).not.toMatch(/"level":"error"/)
  })

  test('too large for a header is refused as such', async () => {
    const response = await world
      .browser()
      .request('/healthz', { headers: { cookie: `${SESSION}=${'x'.repeat(16_384)}` } })
    expect(response.status).toBe(431)
  })
})
