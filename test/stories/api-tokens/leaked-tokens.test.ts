// POST /auth/token/revoke: anyone who finds a leaked token can revoke it, as in RFC 7009.
import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { apiTokens, events, OPERATOR_ID, users } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

const FORM = 'application/x-www-form-urlencoded'
const WHO = '{ viewer { login } }'

let world: World
let instance: Instance
let userId: string
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  await world.signedIn()
  const [row] = await world.db().select().from(users).where(isPerson)
  userId = row?.id ?? ''
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

const makeToken = (owner: string | null = userId) =>
  createApiToken(
    { db: world.db(), clock: world.clock },
    { userId: owner ?? OPERATOR_ID },
    { name: 'leaked', scopes: ['accounts:read'], expiresInDays: null },
  )
const isGood = async (secret: string) => (await instance.ask(WHO, bearer(secret))).status === 200
const rowOf = async (id: string) => (await world.db().select().from(apiTokens).where(eq(apiTokens.id, id)))[0]
async function send(body: string, headers: Record<string, string> = { 'content-type': FORM }) {
  const response = await instance.request('/auth/token/revoke', { method: 'POST', headers, body })
  const told = [...response.headers].filter(([name]) => name !== 'x-request-id' && name !== 'ratelimit')
  return { status: response.status, text: await response.text(), seen: JSON.stringify([response.status, told]) }
}
const revoke = (secret: string) => send(new URLSearchParams({ token: secret }).toString())

test('K-10 revokes a user’s token and an operator’s, everywhere, without a cookie, and records it', async () => {
  const elsewhere = openInstance(world)
  for (const owner of [userId, null]) {
    const { secret, apiToken } = await makeToken(owner)
    expect(await isGood(secret)).toBe(true)
    expect(await revoke(secret)).toMatchObject({ status: 200, text: '' })
    expect([await isGood(secret), (await elsewhere.ask(WHO, bearer(secret))).status]).toEqual([false, 401])
    const told = await world.db().select().from(events).where(eq(events.apiTokenId, apiToken.id))
    expect(told.map(({ type, reason, userId }) => [type, reason, userId])).toEqual([
      ['token.created', null, owner ?? OPERATOR_ID],
      ['token.revoked', 'LEAKED', owner ?? OPERATOR_ID],
    ])
    // A second revocation changes nothing.
    const before = await rowOf(apiToken.id)
    world.advance(60)
    expect((await revoke(secret)).status).toBe(200)
    expect(await rowOf(apiToken.id)).toEqual(before)
    expect(await world.db().$count(events, eq(events.apiTokenId, apiToken.id))).toBe(2)
  }
  await elsewhere.close()
})

test('K-10 responds equally to a valid token, an ended one, an unknown one and junk; junk without a query', async () => {
  const { secret } = await makeToken()
  const responses = new Set<string>()
  for (const token of [secret, secret, createSecret(randomUUID())]) responses.add((await revoke(token)).seen)
  const queries = await instance.queriesOf(async () => {
    for (const token of ['', 'x', secret.slice(1), `${secret}0`, '\0', 'é', 'x'.repeat(7_000)])
      responses.add((await revoke(token)).seen)
  })
  expect(queries.filter((text) => text.includes('"api_tokens"'))).toEqual([])
  expect([...responses]).toHaveLength(1)
})

test.each<[string, string, Record<string, string>]>([
  ['no token', 'a=b', { 'content-type': FORM }],
  ['nothing', '', { 'content-type': FORM }],
  ['a token twice', 'token=SECRET&token=SECRET', { 'content-type': FORM }],
  ['JSON', '{"token":"SECRET"}', { 'content-type': 'application/json' }],
  ['another form', 'token=SECRET', { 'content-type': 'text/plain' }],
  ['more than any token needs', `token=SECRET&more=${'x'.repeat(10_000)}`, { 'content-type': FORM }],
])('%s is an invalid_request, and revokes nothing', async (_what, body, headers) => {
  const { secret } = await makeToken()
  const response = await send(body.replaceAll('SECRET', secret), headers)
  expect([response.status, JSON.parse(response.text).error]).toEqual([400, 'invalid_request'])
  expect(await isGood(secret)).toBe(true)
  expect(instance.logs()).not.toContain(secret.slice(4, 31))
})

test('accepts a hint, other parameters and a charset, and ignores cookies, sites and other tokens', async () => {
  const person = await world.signedIn()
  const requests: Record<string, string>[] = [
    { 'content-type': `${FORM}; charset=utf-8` },
    { 'content-type': FORM, ...cookieOf(person) },
    { 'content-type': FORM, 'sec-fetch-site': 'cross-site', origin: 'https://scanner.example' },
    { 'content-type': FORM, ...bearer((await makeToken()).secret) },
    { 'content-type': FORM, ...bearer('junk') },
  ]
  for (const headers of requests) {
    const { secret } = await makeToken()
    expect((await send(`token=${secret}&token_type_hint=access_token&x=y`, headers)).status).toBe(200)
    expect(await isGood(secret)).toBe(false)
  }
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})

test('K-08 refuses a token in the URL and revokes nothing: URLs are in histories and logs', async () => {
  const { secret } = await makeToken()
  for (const method of ['GET', 'POST']) {
    const response = await instance.request(`/auth/token/revoke?token=${secret}`, {
      method,
      headers: { 'content-type': FORM },
    })
    expect([response.status, await response.text()]).toEqual([401, expect.stringContaining('Authorization header')])
  }
  expect((await instance.request('/auth/token/revoke')).status).toBe(405)
  expect(await isGood(secret)).toBe(true)
  expect(instance.logs()).not.toContain(secret.slice(4, 31))
})

test('is limited per address, so that nobody tries all tokens', async () => {
  const response = await instance.request('/auth/token/revoke', {
    method: 'POST',
    headers: { 'content-type': FORM },
    body: 'token=x',
  })
  expect(response.headers.get('ratelimit-policy')).toMatch(/^"address";/)
})
