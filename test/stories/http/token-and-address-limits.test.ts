// The rate limits of API tokens and of addresses.
import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { OPERATOR_ID, rateLimits, signInAttempts, users } from '../../../src/db/tables.ts'
import { isPerson } from '../../support/connected-account.ts'
import type { World } from '../../support/harness.ts'
import { HOUR_SECONDS, send, startLimited, statuses } from '../../support/rate-limited.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
afterEach(() => world.close())

describe('K-07 an API token', () => {
  const ask = (secret: string) => () => send(world.browser(), '{viewer{login}}', { authorization: `Bearer ${secret}` })
  const makeToken = async (userId: string | null) => {
    const deps = { db: world.db(), clock: world.clock }
    const made = { name: 'a bot', scopes: ['accounts:read'], expiresInDays: null }
    return (await createApiToken(deps, { userId: userId ?? OPERATOR_ID }, made)).secret
  }

  test('has its own limit, separate from other tokens and from its user', async () => {
    world = await startLimited(`token=3/${HOUR_SECONDS},user=2/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const [user] = await world.db().select().from(users).where(isPerson)
    const [one, other, operators] = [
      await makeToken(user?.id ?? ''),
      await makeToken(user?.id ?? ''),
      await makeToken(null),
    ]
    expect(await statuses(4, ask(one))).toEqual([200, 200, 200, 429])
    expect(await statuses(4, ask(other))).toEqual([200, 200, 200, 429])
    expect(await statuses(4, ask(operators))).toEqual([200, 200, 200, 429])
    expect(await statuses(3, () => send(person, '{viewer{login}}'))).toEqual([200, 200, 429])
    expect(await ask(one)()).toMatchObject({ policy: '"token";q=3;w=3600', retryAfter: expect.stringMatching(/^\d+$/) })
  })

  test('K-13 shares one limit with all tokens and sessions of its user', async () => {
    world = await startLimited(`total=5/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const [user] = await world.db().select().from(users).where(isPerson)
    const [one, other] = [await makeToken(user?.id ?? ''), await makeToken(user?.id ?? '')]
    expect(await statuses(2, ask(one))).toEqual([200, 200])
    expect(await statuses(2, ask(other))).toEqual([200, 200])
    // The headers are those of the limit with less left.
    const last = await send(person, '{rateLimit{limit remaining}}')
    expect(last).toMatchObject({
      status: 200,
      policy: '"total";q=5;w=3600',
      body: { data: { rateLimit: { limit: 5, remaining: 0 } } },
    })
    for (const refused of [await ask(one)(), await ask(other)(), await send(person, '{viewer{login}}')])
      expect(refused).toMatchObject({ status: 429, left: expect.stringMatching(/^"total";r=0;/) })
    // Another user and the operator are not affected.
    expect(await statuses(1, async () => send(await world.signedIn('yuki-ito'), '{viewer{login}}'))).toEqual([200])
    expect(await statuses(1, ask(await makeToken(null)))).toEqual([200])
  })

  test('that is unknown consumes from the limit of the address if it was looked up', async () => {
    world = await startLimited(`address=3/${HOUR_SECONDS},token=5/${HOUR_SECONDS}`)
    const valid = await makeToken(null)
    expect(await statuses(1, ask(valid))).toEqual([200])
    expect(await statuses(6, ask('xcg_junk'))).toEqual([401, 401, 401, 401, 401, 401])
    // The look-up of the valid token was paid back.
    expect((await world.db().select().from(rateLimits)).map(({ name }) => name).sort()).toEqual(['address', 'token'])
    const responses = []
    for (let call = 0; call < 4; call++) responses.push(await ask(createSecret(randomUUID()))())
    expect(responses.map(({ status }) => status)).toEqual([401, 401, 401, 429])
    expect(responses.at(-1)).toMatchObject({
      policy: '"address";q=3;w=3600',
      retryAfter: expect.stringMatching(/^\d+$/),
    })
    // So does the revocation of any token.
    const revoke = async (token: string) => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await world
        .browser()
        .request('/auth/token/revoke', { method: 'POST', headers: form, body: `token=${token}` })
      return response.status
    }
    expect([await revoke('xcg_junk'), await revoke(createSecret(randomUUID()))]).toEqual([429, 429])
    // A valid token that the gateway has seen is not affected. Another one cannot be told from those.
    expect(await statuses(1, ask(valid))).toEqual([200])
    expect(await statuses(1, ask(await makeToken(null)))).toEqual([429])
  })
})

describe('an address', () => {
  const SPOOFED = { 'x-forwarded-for': '203.0.113.7' }

  test('C-07 is that of the socket, regardless of X-Forwarded-For from an untrusted peer', async () => {
    world = await startLimited(`address=3/${HOUR_SECONDS}`)
    let last = 0
    const call = () => {
      last += 1
      return send(world.browser(), '{viewer{login}}', { 'x-forwarded-for': `203.0.113.${last}` })
    }
    expect(await statuses(4, call)).toEqual([200, 200, 200, 429])
    expect((await world.db().select().from(rateLimits)).map(({ subject }) => subject)).toEqual(['127.0.0.1'])
  })

  test('C-07 is the one that a trusted proxy forwards, and for IPv6 its /64 network', async () => {
    world = await startLimited(`address=2/${HOUR_SECONDS}`, { TRUSTED_PROXIES: '127.0.0.1' })
    const call = (address: string) => () => send(world.browser(), '{viewer{login}}', { 'x-forwarded-for': address })
    expect(await statuses(3, call('203.0.113.7'))).toEqual([200, 200, 429])
    // The client's own entry before that of the proxy is ignored.
    expect(await statuses(1, call('198.51.100.1, 203.0.113.7'))).toEqual([429])
    expect(await statuses(1, call('203.0.113.8'))).toEqual([200])
    expect(await statuses(1, call('2001:db8:1:2::1'))).toEqual([200])
    expect(await statuses(2, call('2001:0db8:0001:0002:ffff::9'))).toEqual([200, 429])
    expect(await statuses(1, call('2001:db8:1:3::1'))).toEqual([200])
  })

  test('O-13 above the limit of sign-ins is refused without a row, and expired attempts are deleted', async () => {
    world = await startLimited(`sign-in=5/${HOUR_SECONDS}`)
    const person = world.browser()
    const responses = await Promise.all(
      Array.from({ length: 200 }, () => person.request('/auth/github', { headers: SPOOFED })),
    )
    // A browser is redirected to the console, which explains the error.
    const sentBack = (trip: string) => `${world.url}/?${trip}=failed&code=RATE_LIMITED`
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([303]))
    const refused = responses.filter(({ headers }) => headers.get('location') === sentBack('signIn'))
    const granted = responses.filter(({ headers }) => headers.get('location')?.startsWith(world.sandbox.url))
    expect([granted.length, refused.length]).toEqual([5, 195])
    expect(await world.db().$count(signInAttempts)).toBe(5)
    expect(refused[0]?.headers.get('ratelimit-policy')).toBe('"sign-in";q=5;w=3600')
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(600)
    expect(refused.flatMap(({ headers }) => headers.getSetCookie())).toEqual([])
    // Both callbacks consume from the same limit, and health checks from none.
    for (const [path, trip] of [
      ['/auth/github/callback?state=x&code=y', 'signIn'],
      ['/auth/x/callback?state=x&code=y', 'xConnect'],
    ] as const) {
      const { status, headers } = await person.request(path)
      expect([status, headers.get('location'), headers.get('retry-after')]).toEqual([
        303,
        sentBack(trip),
        expect.stringMatching(/^\d+$/),
      ])
    }
    for (const path of ['/healthz', '/readyz', '/']) {
      const response = await person.request(path)
      expect([response.status, response.headers.get('ratelimit')]).toEqual([200, null])
    }
    world.advance(2 * HOUR_SECONDS)
    await sweepNow(world)
    expect([await world.db().$count(signInAttempts), await world.db().$count(rateLimits)]).toEqual([0, 0])
    expect((await person.request('/auth/github')).headers.get('location')).toContain(world.sandbox.url)
  })
})
