// What an integrator with an operator's token can read of users, and what not.
import { and, eq, ne } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiScope, createApiToken } from '../../../src/auth/api-token.ts'
import {
  apiScopes,
  connectedAccounts,
  events,
  OPERATOR_ID,
  userIdentities,
  userLogins,
  users,
} from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type ApiResponse, bearer, type Instance, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'

const MARA = 58_320_114
const NOBODY = '{"data":{"linkedUser":null}}'

let world: World
let instance: Instance
let operator: Record<string, string>
let mara: Browser
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  operator = bearer(await makeSecret(null, ['accounts:read']))
  mara = await world.connected('maraholt')
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

async function makeSecret(userId: string | null, scopes: readonly ApiScope[]): Promise<string> {
  const deps = { db: world.db(), clock: world.clock }
  return (
    await createApiToken(deps, { userId: userId ?? OPERATOR_ID }, { name: 'verifier', scopes, expiresInDays: null })
  ).secret
}
const setVisibility = (person: Browser, visibility: 'NOBODY' | 'INTEGRATORS') =>
  person.api('set-link-visibility', { input: { visibility } })
const findUser = (key: { githubId?: number; githubLogin?: string }): Promise<ApiResponse> =>
  instance.ask(readOperation('linked-user'), operator, key)
type Page = { edges: { node: { githubId: string; login: string | null } }[] } & {
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}
async function listUsers(variables: Record<string, unknown> = {}): Promise<Page> {
  const response = await instance.ask(readOperation('linked-users'), operator, variables)
  if (response.data === null) throw new Error(response.text)
  return response.data.linkedUsers as Page
}
const logins = ({ edges }: Page) => edges.map(({ node }) => node.login)
const rowOf = async (githubId: number) => {
  const [row] = await world.db().select().from(users).where(eq(users.githubId, githubId))
  if (row === undefined) throw new Error('There is no such user')
  return row
}

describe('a user', () => {
  test('is invisible until they allow it, and then shows login, id and accounts alone', async () => {
    expect(await mara.api('viewer')).toMatchObject({ viewer: { linkVisibility: 'NOBODY' } })
    expect((await findUser({ githubId: MARA })).text).toBe(NOBODY)
    expect(logins(await listUsers())).toEqual([])
    await setVisibility(mara, 'INTEGRATORS')
    expect(await mara.api('viewer')).toMatchObject({ viewer: { linkVisibility: 'INTEGRATORS' } })
    const [account] = await world.db().select().from(connectedAccounts)
    const shown = {
      id: (await rowOf(MARA)).id,
      githubId: String(MARA),
      login: 'mara-holt',
      accounts: [
        {
          id: account?.id,
          provider: 'X',
          providerAccountId: account?.providerAccountId,
          username: 'maraholt',
          status: 'ACTIVE',
          connectedAt: account?.connectedAt.toISOString(),
        },
      ],
    }
    expect((await findUser({ githubId: MARA })).data).toEqual({ linkedUser: shown })
    for (const githubLogin of ['mara-holt', 'Mara-Holt', 'MARA-HOLT'])
      expect((await findUser({ githubLogin })).data, githubLogin).toEqual({ linkedUser: shown })
    expect((await listUsers()).edges.map(({ node }) => node)).toEqual([shown])
  })

  test('shows the state of a connection, and nothing of a disconnected one', async () => {
    const show = async () => (await findUser({ githubId: MARA })).data
    await mara.connect('tomasz_k')
    expect(await show()).toMatchObject({
      linkedUser: { accounts: [{ username: 'tomasz_k' }, { username: 'maraholt' }] },
    })
    const { id: userId } = await rowOf(MARA)
    const [second] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, 'tomasz_k'))
    await world
      .db()
      .update(connectedAccounts)
      .set({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
      .where(and(eq(connectedAccounts.userId, userId), ne(connectedAccounts.id, second?.id ?? '')))
    expect(await show()).toMatchObject({ linkedUser: { accounts: [{ status: 'ACTIVE' }, { status: 'NEEDS_REAUTH' }] } })
    await mara.api('disconnect-account', { input: { accountId: second?.id } })
    expect(await show()).toMatchObject({ linkedUser: { accounts: [{ username: 'maraholt', status: 'NEEDS_REAUTH' }] } })
    expect(await show()).not.toMatchObject({ linkedUser: { accounts: [{}, {}] } })
  })

  test('is invisible again at once, at every instance, and has an event for each change', async () => {
    const elsewhere = openInstance(world)
    const { id: userId } = await rowOf(MARA)
    for (const visibility of ['INTEGRATORS', 'NOBODY', 'NOBODY', 'INTEGRATORS', 'NOBODY'] as const)
      await setVisibility(mara, visibility)
    expect((await findUser({ githubId: MARA })).text).toBe(NOBODY)
    expect((await elsewhere.ask(readOperation('linked-user'), operator, { githubId: MARA })).text).toBe(NOBODY)
    expect(logins(await listUsers())).toEqual([])
    const told = await world
      .db()
      .select()
      .from(events)
      .where(and(eq(events.userId, userId), eq(events.type, 'link_visibility.changed')))
      .orderBy(events.position)
    expect(told.map(({ reason }) => reason)).toEqual(['INTEGRATORS', 'NOBODY', 'INTEGRATORS', 'NOBODY'])
    await elsewhere.close()
  })

  test('K-12 cannot leave the setting to a token, whatever its scopes', async () => {
    const headers = bearer(await makeSecret((await rowOf(MARA)).id, apiScopes))
    for (const visibility of ['INTEGRATORS', 'NOBODY']) {
      const before = await rowOf(MARA)
      const response = await instance.ask(readOperation('set-link-visibility'), headers, { input: { visibility } })
      expect(response).toMatchObject({ status: 403, data: null, errors: [{ extensions: { code: 'FORBIDDEN' } }] })
      expect(await rowOf(MARA)).toEqual(before)
    }
  })
})

describe('K-06 unknown, nothing connected, everything disconnected, and not visible', () => {
  test('are one response, byte for byte, header for header, with as many queries', async () => {
    const ofEach = async (key: { githubId?: number; githubLogin?: string }) => {
      let response: Response | undefined
      const sent = await instance.queriesOf(async () => {
        response = await instance.request('/graphql', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-request-id': 'the-same-one', ...operator },
          body: JSON.stringify({ query: readOperation('linked-user'), variables: key }),
        })
      })
      // The remaining limit, and whether a new slice of it is taken, depend on the caller, not on
      // the user asked for.
      const queries = sent.filter((text) => !text.includes('"rate_limits"'))
      const headers = [...(response?.headers ?? [])].filter(([name]) => !name.startsWith('ratelimit'))
      return JSON.stringify({ status: response?.status, headers, body: await response?.text(), queries })
    }
    await world.signedIn('tomasz-k')
    const tomasz = await rowOf(7_409_262)
    await world.db().update(users).set({ linkVisibility: 'INTEGRATORS' }).where(eq(users.id, tomasz.id))
    await setVisibility(mara, 'NOBODY')
    const kinds = {
      'no such user': [{ githubId: 1 }, { githubLogin: 'no-such-user' }],
      'nothing linked': [{ githubId: tomasz.githubId }, { githubLogin: tomasz.login }],
      'not shown': [{ githubId: MARA }, { githubLogin: 'mara-holt' }],
    }
    await ofEach({ githubId: 1 })
    const byId = new Set<string>()
    const byLogin = new Set<string>()
    for (const [id, login] of Object.values(kinds)) {
      byId.add(await ofEach(id ?? {}))
      byLogin.add(await ofEach(login ?? {}))
    }
    await setVisibility(mara, 'INTEGRATORS')
    const { connectedAccounts: own } = await mara.api<{ connectedAccounts: { id: string }[] }>('connected-accounts')
    for (const { id } of own) await mara.api('disconnect-account', { input: { accountId: id } })
    byId.add(await ofEach({ githubId: MARA }))
    byLogin.add(await ofEach({ githubLogin: 'mara-holt' }))
    expect([...byId]).toHaveLength(1)
    expect([...byLogin]).toHaveLength(1)
    expect([...byId][0]).toContain(JSON.stringify(NOBODY))
    // The token, and the lookup itself, found or not.
    const { queries } = JSON.parse([...byId][0] ?? '') as { queries: string[] }
    expect(queries.filter((text) => text.includes('connected_accounts'))).toHaveLength(1)
    await mara.connect('maraholt')
    expect(JSON.parse(await ofEach({ githubId: MARA })).queries).toEqual(queries)
  })

  test.each([
    [{}, null],
    [{ githubId: MARA, githubLogin: 'mara-holt' }, null],
    [{ githubId: 'x' }, 'githubId'],
    [{ githubId: '' }, 'githubId'],
    [{ githubId: '9'.repeat(30) }, 'githubId'],
    [{ githubId: -1 }, 'githubId'],
    [{ githubLogin: '' }, 'githubLogin'],
    [{ githubLogin: 'a b' }, 'githubLogin'],
    [{ githubLogin: '\0' }, 'githubLogin'],
    [{ githubLogin: '%' }, 'githubLogin'],
  ])('%j is invalid', async (variables, field) => {
    const response = await instance.ask(readOperation('linked-user'), operator, variables)
    expect(response.errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', ...(field && { field: [field] }) } },
    ])
    expect(response.data).toEqual({ linkedUser: null })
  })
})

describe('users', () => {
  test('are all who show an account, each once, for any page size and while users come and go', async () => {
    const [like] = await world.db().select().from(connectedAccounts)
    if (like === undefined) throw new Error('There is no account')
    const made = await world
      .db()
      .insert(users)
      .values(
        Array.from({ length: 60 }, (_, number) => ({
          githubId: 1_000_000 + number,
          login: `person-${number}`,
          linkVisibility: number % 3 === 0 ? ('NOBODY' as const) : ('INTEGRATORS' as const),
        })),
      )
      .returning()
    // Of every three one is not visible, one has one or two accounts, and one has none or none any
    // more.
    const account = (userId: string, name: string, gone: boolean) => ({
      ...like,
      id: crypto.randomUUID(),
      userId,
      providerAccountId: name,
      username: `name_${name}`,
      status: gone ? ('DISCONNECTED' as const) : ('ACTIVE' as const),
      statusReason: null,
      disconnectedAt: gone ? new Date() : null,
    })
    await world
      .db()
      .insert(connectedAccounts)
      .values(
        made.flatMap(({ id }, number) => {
          if (number % 3 === 2) return number % 2 === 0 ? [account(id, `${number}`, true)] : []
          return [account(id, `${number}`, false), ...(number % 2 === 0 ? [account(id, `${number}b`, false)] : [])]
        }),
      )
    await world
      .db()
      .insert(userLogins)
      .values(made.map(({ id, login }) => ({ login, userId: id })))
    await setVisibility(mara, 'INTEGRATORS')
    const expected = [...made.filter((_, number) => number % 3 === 1).map(({ login }) => login), 'mara-holt'].toSorted()
    for (const first of [1, 7, 20, 21, 100]) {
      const seen: (string | null)[] = []
      let after: string | null = null
      do {
        const page: Page = await listUsers({ first, after })
        expect(page.edges.length).toBeLessThanOrEqual(first)
        seen.push(...logins(page))
        after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
      } while (after !== null)
      expect(seen.toSorted(), `pages of ${first}`).toEqual(expected)
    }
    // The last one of a page may be gone: the next page begins at the same position.
    const page = await listUsers({ first: 5 })
    const last = Number(page.edges.at(-1)?.node.githubId)
    await world.db().update(users).set({ linkVisibility: 'NOBODY' }).where(eq(users.githubId, last))
    const rest = await listUsers({ first: 100, after: page.pageInfo.endCursor })
    expect([...logins(page), ...logins(rest)].toSorted()).toEqual(expected)
  })

  test.each(['x', '', Buffer.from('user:x').toString('base64url'), Buffer.from('event:1').toString('base64url')])(
    'refuses the cursor "%s"',
    async (after) => {
      const response = await instance.ask(readOperation('linked-users'), operator, { after })
      expect(response.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: ['after'] } }])
    },
  )
})

/** As if the user with one id at GitHub were the person with another one. */
async function changeGithubId(from: number, githubId: number): Promise<void> {
  await world.db().update(users).set({ githubId }).where(eq(users.githubId, from))
  await world.db().update(userIdentities).set({ githubId }).where(eq(userIdentities.githubId, from))
}

/** The users to whom a login belongs. */
async function holdersOf(login: string): Promise<string[]> {
  return (await world.db().select().from(userLogins).where(eq(userLogins.login, login))).map(({ userId }) => userId)
}

describe('a login that has passed to another user', () => {
  test('leads to that user and never to the earlier one, until the earlier one signs in with it again', async () => {
    await setVisibility(mara, 'INTEGRATORS')
    const before = await rowOf(MARA)
    // As at GitHub: she gave the login up, and another user took it in another case.
    await changeGithubId(MARA, 999_001)
    await world.db().update(users).set({ login: 'Mara-Holt' }).where(eq(users.githubId, 999_001))
    const taker = await world.signedIn('mara-holt')
    expect((await findUser({ githubLogin: 'mara-holt' })).text).toBe(NOBODY)
    expect((await findUser({ githubId: 999_001 })).data).toMatchObject({ linkedUser: { id: before.id, login: null } })
    expect((await listUsers({ first: 100 })).edges.map(({ node }) => node.githubId)).toContain('999001')
    // She still sees her last known login, once the gateway looks her up again.
    world.advance(10)
    expect(await mara.api('viewer')).toMatchObject({ viewer: { login: 'Mara-Holt' } })

    await setVisibility(taker, 'INTEGRATORS')
    expect((await findUser({ githubLogin: 'mara-holt' })).text).toBe(NOBODY)
    await taker.connect('tomasz_k')
    expect((await findUser({ githubLogin: 'MARA-HOLT' })).data).toMatchObject({
      linkedUser: { githubId: String(MARA) },
    })

    // And back: the first user has the login again.
    await changeGithubId(MARA, 999_002)
    await changeGithubId(999_001, MARA)
    await world.signedIn('mara-holt')
    expect((await findUser({ githubLogin: 'mara-holt' })).data).toMatchObject({
      linkedUser: { id: before.id, login: 'mara-holt' },
    })
    expect(await holdersOf('mara-holt')).toEqual([before.id])
    expect((await findUser({ githubId: 999_002 })).data).toMatchObject({ linkedUser: { login: null } })
  })

  test('belongs to one user, though many sign in with it at once', async () => {
    await changeGithubId(MARA, 999_003)
    await Promise.all(Array.from({ length: 8 }, () => world.signedIn('mara-holt')))
    const rows = await world.db().select().from(users).where(eq(users.githubId, MARA))
    expect(rows).toHaveLength(1)
    expect(await holdersOf('mara-holt')).toEqual(rows.map(({ id }) => id))
  })
})
