// API tokens in a user's session, and the rows that they leave.
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiTokenStatus, MAX_ENDED_TOKENS, sweepApiTokens } from '../../../src/auth/api-token.ts'
import { defaultUserLimits } from '../../../src/config/user-limits.ts'
import { sha256 } from '../../../src/crypto.ts'
import { apiTokens, events, OPERATOR_ID, users } from '../../../src/db/tables.ts'
import type { Browser, UserError } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { readEveryRow } from '../../support/dump.ts'
import { newPerson } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

type ApiTokenView = { id: string; name: string; scopes: string[]; status: string; prefix: string; lastFour: string } & {
  createdAt: string
  expiresAt: string
  lastUsedAt: string | null
  revokedAt: string | null
}
type Created = { secret: string | null; apiToken: ApiTokenView | null; userErrors: UserError[] }

const DAY = 86_400
const WHO = '{ viewer { login } }'

let world: World
let instance: Instance
let mara: Browser
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  mara = await world.signedIn()
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

async function create(person: Browser, input: Record<string, unknown> = {}): Promise<Created> {
  const { createApiToken } = await person.api<{ createApiToken: Created }>('create-api-token', {
    input: { name: 'Release bot', scopes: ['tweets:write'], ...input },
  })
  return createApiToken
}
async function createGood(person: Browser, input: Record<string, unknown> = {}) {
  const { secret, apiToken, userErrors } = await create(person, input)
  if (secret === null || apiToken === null) throw new Error(`createApiToken refused: ${userErrors[0]?.code}`)
  return { secret, apiToken }
}
const list = async (person: Browser) => (await person.api<{ apiTokens: ApiTokenView[] }>('api-tokens')).apiTokens
const revoke = async (person: Browser, id: string) =>
  (
    await person.api<{
      revokeApiToken: { apiToken: { status: string; revokedAt: string } | null; userErrors: UserError[] }
    }>('revoke-api-token', { input: { apiTokenId: id } })
  ).revokeApiToken
const isGood = async (secret: string) => (await instance.ask(WHO, bearer(secret))).status === 200
const eventsOf = async (id: string) =>
  (await world.db().select().from(events).where(eq(events.apiTokenId, id))).map(({ type, reason, userId }) => ({
    type,
    reason,
    userId,
  }))

describe('creating a token', () => {
  test('K-02 shows the secret once; afterwards its name, its first and last characters, and its hash are kept', async () => {
    const { secret, apiToken } = await createGood(mara, {
      name: '  Release bot ',
      scopes: ['tweets:write', 'tweets:read'],
    })
    expect(secret).toMatch(/^xcg_[0-9A-Za-z]{55}$/)
    expect(apiToken).toMatchObject({
      name: 'Release bot',
      prefix: secret.slice(0, 8),
      lastFour: secret.slice(-4),
      scopes: ['tweets:read', 'tweets:write'],
      status: 'ACTIVE',
    })
    expect(Date.parse(apiToken.expiresAt) - Date.parse(apiToken.createdAt)).toBe(90 * DAY * 1000)
    const [listed] = await list(mara)
    expect(listed).toMatchObject({ ...apiToken, lastUsedAt: null, revokedAt: null })
    expect(JSON.stringify(listed)).not.toContain(secret.slice(4, 31))
    const [row] = await world.db().select().from(apiTokens).where(eq(apiTokens.id, apiToken.id))
    expect(row?.secretHash).toBe(sha256(secret))
    expect(await isGood(secret)).toBe(true)
    expect((await list(mara))[0]?.lastUsedAt).not.toBeNull()
  })

  test('K-02 leaves the secret in no table and no log', async () => {
    const { secret } = await createGood(mara)
    await isGood(secret)
    await mara.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(secret) },
    })
    const stored = await readEveryRow(world)
    expect(stored).toContain(sha256(secret))
    expect(stored).not.toContain(secret.slice(4, 31))
    expect(world.logs() + instance.logs()).not.toContain(secret.slice(4, 31))
  })

  test('is recorded in an event, and so is its end', async () => {
    const { apiToken } = await createGood(mara)
    const [{ id: userId } = { id: '' }] = await world.db().select().from(users).where(eq(users.login, 'mara-holt'))
    expect(await eventsOf(apiToken.id)).toEqual([{ type: 'token.created', reason: null, userId }])
    await revoke(mara, apiToken.id)
    await revoke(mara, apiToken.id)
    expect(await eventsOf(apiToken.id)).toEqual([
      { type: 'token.created', reason: null, userId },
      { type: 'token.revoked', reason: null, userId },
    ])
  })

  test('fails if the event cannot be recorded', async () => {
    await world
      .db()
      .execute(sql`alter table events add constraint events_full check (type <> 'token.created') not valid`)
    const before = await world.db().$count(apiTokens)
    await expect(create(mara)).rejects.toThrow()
    await world.db().execute(sql`alter table events drop constraint events_full`)
    expect(await world.db().$count(apiTokens)).toBe(before)
  })

  test.each<[string, string, Record<string, unknown>]>([
    ['API_TOKEN_NAME_INVALID', 'name', { name: '' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: ' \t ' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'x'.repeat(101) }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'two\nlines' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'NUL \0' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'colour \u001b[31m' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'backwards \u202e' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'an Arabic mark \u061c in it' }],
    ['API_TOKEN_NAME_INVALID', 'name', { name: 'half a pair \ud800' }],
    ['API_TOKEN_SCOPES_INVALID', 'scopes', { scopes: [] }],
    ['API_TOKEN_SCOPES_INVALID', 'scopes', { scopes: ['tweets'] }],
    ['API_TOKEN_SCOPES_INVALID', 'scopes', { scopes: ['tweets:write', 'admin'] }],
    ['API_TOKEN_SCOPES_INVALID', 'scopes', { scopes: ['TWEETS:WRITE'] }],
    ['API_TOKEN_EXPIRY_INVALID', 'expiresInDays', { expiresInDays: 0 }],
    ['API_TOKEN_EXPIRY_INVALID', 'expiresInDays', { expiresInDays: -1 }],
    ['API_TOKEN_EXPIRY_INVALID', 'expiresInDays', { expiresInDays: 367 }],
    ['API_TOKEN_EXPIRY_INVALID', 'expiresInDays', { expiresInDays: 2_147_483_647 }],
  ])('is refused with %s for its %s: %j', async (code, field, input) => {
    const before = await world.db().$count(apiTokens)
    expect(await create(mara, input)).toMatchObject({
      secret: null,
      apiToken: null,
      userErrors: [{ code, field: ['input', field] }],
    })
    expect(await world.db().$count(apiTokens)).toBe(before)
  })

  test('accepts the longest name and lifetime, and counts a repeated scope once', async () => {
    const input = { name: `${'👾'.repeat(46)} 👩‍💻 é`, scopes: ['events:read', 'events:read'], expiresInDays: 366 }
    const { apiToken } = await createGood(mara, input)
    expect(apiToken).toMatchObject({ name: input.name, scopes: ['events:read'] })
    expect(Date.parse(apiToken.expiresAt) - Date.parse(apiToken.createdAt)).toBe(366 * DAY * 1000)
  })

  test('is limited to fifty tokens, also by sixty requests at once, and works again when one has ended', async () => {
    const person = await world.signedIn('yuki-ito')
    const made = await Promise.all(Array.from({ length: defaultUserLimits.apiTokens + 10 }, () => create(person)))
    expect(made.filter(({ secret }) => secret !== null)).toHaveLength(defaultUserLimits.apiTokens)
    expect(made.flatMap(({ userErrors }) => userErrors.map(({ code }) => code))).toEqual(
      Array(10).fill('TOO_MANY_API_TOKENS'),
    )
    const [first] = await list(person)
    await revoke(person, first?.id ?? '')
    expect((await create(person)).userErrors).toEqual([])
    expect((await create(person)).userErrors).toMatchObject([{ code: 'TOO_MANY_API_TOKENS' }])
    expect((await create(mara)).userErrors).toEqual([])
  })
})

describe('the list', () => {
  test('K-14 keeps the last fifty that have ended, however many are created and revoked', async () => {
    const person = await newPerson(world)
    const made = await createGood(person, { name: 'active' })
    const [row] = await world.db().select().from(apiTokens).where(eq(apiTokens.id, made.apiToken.id))
    if (row === undefined) throw new Error('There is no token')
    const ended = Array.from({ length: MAX_ENDED_TOKENS + 20 }, (_, age) => ({
      ...row,
      id: crypto.randomUUID(),
      secretHash: sha256(`ended ${age}`),
      name: `ended ${age}`,
      revokedAt: new Date(Date.now() - (age + 1) * 1000),
    }))
    await world.db().insert(apiTokens).values(ended)
    await createGood(person, { name: 'another' })
    const names = (await list(person)).map(({ name }) => name).filter((name) => name.startsWith('ended'))
    expect(names.toSorted()).toEqual(
      ended
        .slice(0, MAX_ENDED_TOKENS)
        .map(({ name }) => name)
        .toSorted(),
    )
    const isHers = eq(apiTokens.userId, row.userId)
    expect(await world.db().$count(apiTokens, isHers)).toBe(MAX_ENDED_TOKENS + 2)
  })

  test('has the user’s own tokens, valid ones first, and those that ended within thirty days', async () => {
    const person = await world.signedIn('tomasz-k')
    const old = await createGood(person, { name: 'expired', expiresInDays: 1 })
    world.advance(2 * DAY)
    await person.signIn('tomasz-k')
    const revoked = await createGood(person, { name: 'revoked' })
    await revoke(person, revoked.apiToken.id)
    const good = await createGood(person, { name: 'good', expiresInDays: 300 })
    await createGood(await world.signedIn(), { name: 'hers' })
    await createGood(person, { name: 'good too' })
    expect((await list(person)).map(({ name, status }) => `${name} ${status}`)).toEqual([
      'good too ACTIVE',
      'good ACTIVE',
      'revoked REVOKED',
      'expired EXPIRED',
    ])
    expect([await isGood(old.secret), await isGood(revoked.secret), await isGood(good.secret)]).toEqual([
      false,
      false,
      true,
    ])
    const deps = { db: world.db(), clock: world.clock }
    world.advance(29 * DAY + 60)
    await sweepApiTokens(deps)
    const later = await world.signedIn('tomasz-k')
    expect((await list(later)).map(({ name }) => name)).toEqual(['good too', 'good', 'revoked'])
    world.advance(DAY)
    await sweepApiTokens(deps)
    expect((await list(later)).map(({ name }) => name)).toEqual(['good too', 'good'])
    const [row] = await world.db().select().from(apiTokens).where(eq(apiTokens.id, good.apiToken.id))
    expect(row && apiTokenStatus(deps, row)).toBe('ACTIVE')
  })
})

describe('revoking', () => {
  test('K-05 ends a token at once at every instance, for ever', async () => {
    const person = await world.signedIn()
    const { secret, apiToken } = await createGood(person)
    const elsewhere = openInstance(world)
    for (let use = 0; use < 3; use++)
      expect([await isGood(secret), (await elsewhere.ask(WHO, bearer(secret))).status]).toEqual([true, 200])
    expect(await revoke(person, apiToken.id)).toMatchObject({ apiToken: { status: 'REVOKED' }, userErrors: [] })
    expect([await isGood(secret), (await elsewhere.ask(WHO, bearer(secret))).status]).toEqual([false, 401])
    const { apiToken: before } = await revoke(person, apiToken.id)
    world.advance(60)
    expect((await revoke(person, apiToken.id)).apiToken).toEqual(before)
    await elsewhere.close()
  })

  test('is limited to one’s own tokens, and responds to another’s as to an unknown id', async () => {
    const { secret, apiToken } = await createGood(await world.signedIn())
    const stranger = await world.signedIn('yuki-ito')
    const responses = []
    for (const id of [apiToken.id, '0b5c3d4e-0000-4000-8000-000000000000', 'x', ''])
      responses.push(await revoke(stranger, id))
    expect(responses[0]).toMatchObject({ apiToken: null, userErrors: [{ code: 'API_TOKEN_NOT_FOUND' }] })
    expect(new Set(responses.map((response) => JSON.stringify(response))).size).toBe(1)
    expect(await isGood(secret)).toBe(true)
  })
})

test('the table accepts no token that breaks a rule', async () => {
  const row = {
    secretHash: sha256('x'),
    prefix: 'xcg_0000',
    lastFour: '0000',
    name: 'x',
    userId: OPERATOR_ID,
    scopes: ['accounts:read' as const],
    createdAt: new Date(0),
    expiresAt: new Date(1),
  }
  const [user] = await world.db().select().from(users).where(isPerson)
  for (const [constraint, change] of Object.entries({
    api_tokens_secret_hash_form: { secretHash: 'xcg_' },
    api_tokens_shown: { prefix: 'xcg_0000111122223333' },
    api_tokens_name: { name: '' },
    api_tokens_scopes: { scopes: [], userId: user?.id ?? '' },
    api_tokens_operator_scopes: { scopes: ['tweets:write' as const] },
    api_tokens_expires: { expiresAt: new Date(0) },
  })) {
    const insert = world
      .db()
      .insert(apiTokens)
      .values({ ...row, ...change })
    await expect(
      insert.catch(({ cause }) => Promise.reject(cause)),
      constraint,
    ).rejects.toThrow(constraint)
  }
})
