// What a program gets for a valid token, and for an invalid one.
import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiScope, createApiToken } from '../../../src/auth/api-token.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { randomToken } from '../../../src/crypto.ts'
import { apiScopes, apiTokens, OPERATOR_ID, operatorScopes, sessions, users } from '../../../src/db/tables.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { isPerson, momentIn, queryRows } from '../../support/connected-account.ts'
import { forgeOwner } from '../../support/earlier-secret.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

const INVALID = 'Bearer realm="xconnect", error="invalid_token"'
const MISSING = 'Bearer realm="xconnect"'
const WHO = '{ viewer { login } }'

let world: World
let instance: Instance
let mara: Browser
let maraId: string
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  mara = await world.signedIn()
  const [row] = await world.db().select().from(users).where(isPerson)
  maraId = row?.id ?? ''
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

async function makeToken(
  scopes: readonly ApiScope[] = apiScopes,
  userId: string | null = maraId,
  expiresInDays: number | null = null,
) {
  const deps = { db: world.db(), clock: world.clock }
  return createApiToken(deps, { userId: userId ?? OPERATOR_ID }, { name: 'a bot', scopes, expiresInDays })
}
const rowOf = (id: string) => world.db().query.apiTokens.findFirst({ where: (table, { eq }) => eq(table.id, id) })
const setRow = async (id: string, values: Partial<typeof apiTokens.$inferInsert>) =>
  world.db().update(apiTokens).set(values).where(eq(apiTokens.id, id))
// The statements of the rate limiter depend on what its caller has consumed before.
const withoutLimits = (queries: string[]) => queries.filter((text) => !text.includes('"rate_limits"'))

describe('a valid token', () => {
  test('authenticates its user, over HTTP too', async () => {
    const { secret } = await makeToken()
    expect(await instance.ask(WHO, bearer(secret))).toMatchObject({
      status: 200,
      challenge: null,
      data: { viewer: { login: 'mara-holt' } },
    })
    const response = await world.browser().request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `bearer ${secret}` },
      body: JSON.stringify({ query: WHO }),
    })
    expect([response.status, await response.json()]).toEqual([200, { data: { viewer: { login: 'mara-holt' } } }])
    expect(response.headers.getSetCookie()).toEqual([])
  })

  test('of the operator authenticates no user', async () => {
    const { secret } = await makeToken(['accounts:read'], null)
    expect(await instance.ask(WHO, bearer(secret))).toMatchObject({ status: 200, data: { viewer: null } })
  })

  test('may come from a browser on any site, which cannot add it by itself', async () => {
    const { secret } = await makeToken()
    const headers = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    expect(await instance.ask(WHO, { ...headers, ...bearer(secret) })).toMatchObject({
      status: 200,
      data: { viewer: { login: 'mara-holt' } },
    })
    expect((await instance.request('/graphql', { method: 'POST', headers })).status).toBe(403)
  })

  const verbs = (queries: string[]) => withoutLimits(queries).map((text) => text.split(' ')[0])

  test('costs one query, and one more a minute to record its last use (K-11)', async () => {
    const { secret, apiToken } = await makeToken()
    expect(apiToken.lastUsedAt).toBeNull()
    const first = await instance.queriesOf(() => instance.ask(WHO, bearer(secret)))
    expect(verbs(first)).toEqual(['select', 'update'])
    const used = await rowOf(apiToken.id)
    expect(used?.lastUsedAt).not.toBeNull()
    const second = await instance.queriesOf(() => instance.ask(WHO, bearer(secret)))
    expect(verbs(second)).toEqual(['select'])
    expect(await rowOf(apiToken.id)).toEqual(used)
    world.advance(61)
    const third = await instance.queriesOf(() => instance.ask(WHO, bearer(secret)))
    expect(verbs(third)).toEqual(['select', 'update'])
    expect((await rowOf(apiToken.id))?.lastUsedAt?.getTime()).toBeGreaterThan(
      (used?.lastUsedAt?.getTime() ?? 0) + 60_000,
    )
  })

  test('K-11 of five hundred requests, many at once, one records the last use', async () => {
    const { secret, apiToken } = await makeToken()
    await world.db().execute(sql`create table uses (id uuid)`)
    await world
      .db()
      .execute(
        sql`create function count_use() returns trigger language plpgsql as $$ begin insert into uses values (new.id); return new; end $$`,
      )
    await world
      .db()
      .execute(
        sql`create trigger count_uses after update of last_used_at on api_tokens for each row execute function count_use()`,
      )
    const startedAt = performance.now()
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 50 }, () => instance.ask(WHO, bearer(secret))))
    const minutes = Math.floor((performance.now() - startedAt) / 60_000)
    const uses = await queryRows(world, sql`select id from uses`)
    expect(uses).toContainEqual({ id: apiToken.id })
    // One more in each further minute that a busy machine takes.
    expect(uses.length).toBeLessThanOrEqual(1 + minutes)
    await world.db().execute(sql`drop table uses cascade`)
    await world.db().execute(sql`drop function count_use cascade`)
  })

  test('opens the API alone: the routes of signing in and connecting are for browsers', async () => {
    const { secret } = await makeToken()
    const person = await world.signedIn()
    const start = await instance.request('/auth/x', { headers: { ...bearer(secret), ...cookieOf(person) } })
    expect([start.status, start.headers.get('location')]).toEqual([
      303,
      `${world.url}/?xConnect=failed&code=UNAUTHENTICATED`,
    ])
    const { authorizationUrl } = await person.startXConnect()
    const callback = new URL(await person.consent(authorizationUrl ?? '', 'maraholt'))
    const end = await instance.request(`${callback.pathname}${callback.search}`, {
      headers: { ...bearer(secret), ...cookieOf(person) },
    })
    expect(end.headers.get('location')).toContain('code=SESSION_MISSING')
  })

  test('does not end the session of the browser that sent it', async () => {
    const { secret } = await makeToken()
    const before = await world.db().$count(sessions)
    await instance.request('/auth/sign-out', { method: 'POST', headers: { ...bearer(secret), ...cookieOf(mara) } })
    expect(await world.db().$count(sessions)).toBe(before)
  })
})

describe('an invalid token', () => {
  test('K-01 with any character flipped is refused without a query', async () => {
    const { secret } = await makeToken()
    const flipped = [...secret].map((character, index) => {
      const other = character === 'a' ? 'b' : 'a'
      return secret.slice(0, index) + other + secret.slice(index + 1)
    })
    const made = await instance.queriesOf(async () => {
      for (const junk of [
        ...flipped,
        secret.slice(0, -1),
        `${secret}a`,
        `${secret},`,
        '',
        'null',
        'é',
        'x'.repeat(9_000),
      ]) {
        const response = await instance.ask(WHO, { authorization: `Bearer ${encodeURIComponent(junk)}` })
        expect(response, junk).toMatchObject({ status: 401, challenge: INVALID, data: null })
        expect(response.errors.map(({ extensions }) => extensions)).toEqual([
          { code: 'UNAUTHENTICATED', retry: 'AFTER_ACTION' },
        ])
      }
    })
    expect(made).toEqual([])
  })

  test('is a token or a session with the id of another user: refused like an unknown one, by the same queries', async () => {
    const ownerId = (await makeToken([...operatorScopes], null)).apiToken.userId
    const { secret } = await makeToken()
    const forged = [forgeOwner(secret, ownerId), forgeOwner(secret, randomUUID()), createSecret(maraId)]
    const refusals = new Set<string>()
    for (const each of forged) {
      let response = ''
      const queries = await instance.queriesOf(async () => {
        response = (await instance.ask(WHO, bearer(each))).text
      })
      refusals.add(JSON.stringify({ response, queries: withoutLimits(queries) }))
    }
    expect([...refusals]).toHaveLength(1)
    expect([...refusals][0]).toContain('This API token is not valid')

    const [name, token = ''] = cookieOf(mara).cookie.split('=')
    const [, random = ''] = token.split('.')
    const anonymous = new Set<string>()
    for (const text of [`${ownerId}.${random}`, `${randomUUID()}.${random}`, `${maraId}.${randomToken()}`]) {
      const queries = await instance.queriesOf(async () => {
        expect((await instance.ask(WHO, { cookie: `${name}=${text}` })).data).toEqual({ viewer: null })
      })
      anonymous.add(JSON.stringify(queries.filter((query) => query.includes('sessions'))))
    }
    expect([...anonymous]).toEqual([expect.stringContaining('user_id')])
    expect((await instance.ask(WHO, { cookie: `${name}=${token}` })).data).toEqual({ viewer: { login: 'mara-holt' } })
  })

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['expired', (id) => setRow(id, { createdAt: momentIn(world, -86_400), expiresAt: momentIn(world, -1) })],
    ['revoked', (id) => setRow(id, { revokedAt: momentIn(world, -1) })],
    ['deleted', (id) => world.db().delete(apiTokens).where(eq(apiTokens.id, id))],
  ])('is one that was %s: same status, same message', async (_how, end) => {
    const { secret, apiToken } = await makeToken()
    expect((await instance.ask(WHO, bearer(secret))).status).toBe(200)
    await end(apiToken.id)
    const response = await instance.ask(WHO, bearer(secret))
    expect(response).toMatchObject({ status: 401, challenge: INVALID, data: null })
    expect(response.text).toBe((await instance.ask(WHO, bearer(createSecret(randomUUID())))).text)
    expect(response.text).toBe((await instance.ask(WHO, bearer('junk'))).text)
  })

  test('is one whose user is gone: it does not become the operator’s', async () => {
    const { secret, apiToken } = await makeToken(['accounts:read'])
    await world.db().execute(sql`alter table api_tokens drop constraint api_tokens_user_id_users_id_fk`)
    await setRow(apiToken.id, { userId: crypto.randomUUID() })
    expect(await instance.ask(WHO, bearer(secret))).toMatchObject({ status: 401, challenge: INVALID, data: null })
    expect(await instance.ask('{ linkedUsers { edges { cursor } } }', bearer(secret))).toMatchObject({ status: 401 })
    await world.db().delete(apiTokens).where(eq(apiTokens.id, apiToken.id))
    await world
      .db()
      .execute(
        sql`alter table api_tokens add constraint api_tokens_user_id_users_id_fk foreign key (user_id) references users on delete cascade`,
      )
  })

  test('K-09 differs from no token and from an unknown scheme', async () => {
    for (const authorization of ['', 'Basic bWFyYTp4', 'Token x', 'xcg_', 'Negotiate'])
      expect(await instance.ask(WHO, { authorization }), authorization).toMatchObject({
        status: 401,
        challenge: MISSING,
        data: null,
      })
    for (const authorization of ['Bearer', 'bearer ', 'Bearer a b', 'BEARER x', 'Bearer x, Bearer y'])
      expect(await instance.ask(WHO, { authorization }), authorization).toMatchObject({
        status: 401,
        challenge: INVALID,
      })
    expect(await instance.ask('{ tweets { edges { cursor } } }')).toMatchObject({ status: 401, challenge: MISSING })
  })
})

describe('C-05 with an Authorization header the cookie is ignored', () => {
  test('mara’s cookie with a token of tomasz is tomasz, within its scopes', async () => {
    await world.signedIn('tomasz-k')
    const [tomasz] = await world.db().select().from(users).where(eq(users.login, 'tomasz-k'))
    const { secret } = await makeToken(['tweets:read'], tomasz?.id)
    const headers = { ...cookieOf(mara), ...bearer(secret) }
    expect(await instance.ask(WHO, headers)).toMatchObject({ data: { viewer: { login: 'tomasz-k' } } })
    expect(await instance.ask('{ connectedAccounts { id } }', headers)).toMatchObject({ status: 403 })
  })

  test('junk, an ended token or another scheme beside a valid cookie is anonymous', async () => {
    const { cookie } = cookieOf(mara)
    expect((await instance.ask(WHO, { cookie })).data).toEqual({ viewer: { login: 'mara-holt' } })
    for (const authorization of ['', 'Basic x', 'Bearer junk', `Bearer ${createSecret(randomUUID())}`])
      expect((await instance.ask(WHO, { cookie, authorization })).status, authorization).toBe(401)
  })
})

describe('K-08 a token outside of the header', () => {
  let secret: string
  beforeEach(async () => {
    secret = (await makeToken()).secret
  })

  test('is refused in a URL, valid or not, and not logged', async () => {
    const json = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query: WHO })
    for (const path of [
      `/graphql?access_token=${secret}`,
      '/graphql?access_token=',
      `/graphql?a=b&access_token=${secret}`,
      `/graphql?api_key=${secret}`,
      `/graphql?key=&key=${secret}`,
      `/graphql?__proto__=${secret}`,
      `/graphql?${secret}`,
    ]) {
      for (const headers of [json, { ...json, ...bearer(secret) }, { ...json, ...cookieOf(mara) }]) {
        const response = await instance.request(path, { method: 'POST', headers, body })
        expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, MISSING])
      }
    }
    for (const path of ['/', '/graphql', '/auth/x', '/auth/github', '/nowhere'])
      expect((await instance.request(`${path}?access_token=${secret}`)).status, path).toBe(401)
    await instance.request(`/graphql/${secret}`)
    expect(instance.logs()).toContain('"path":"/graphql"')
    expect(instance.logs()).not.toContain(secret.slice(0, 31))
  })

  test('is refused in a body', async () => {
    const json = { 'content-type': 'application/json' }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    for (const [headers, body] of [
      [json, JSON.stringify({ query: WHO, access_token: secret })],
      [{ ...json, ...bearer(secret) }, JSON.stringify({ query: WHO, access_token: secret })],
      [json, JSON.stringify({ query: WHO, access_token: null })],
      [form, new URLSearchParams({ query: WHO, access_token: secret }).toString()],
    ] as const) {
      const response = await instance.request('/graphql', { method: 'POST', headers, body })
      expect([response.status, response.headers.get('www-authenticate')], body).toEqual([401, MISSING])
      expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
    }
    const long = await instance.request('/graphql', { method: 'POST', headers: form, body: 'x'.repeat(100_000) })
    expect(long.status).toBe(415)
    expect(instance.logs()).not.toContain(secret.slice(0, 31))
  })
})
