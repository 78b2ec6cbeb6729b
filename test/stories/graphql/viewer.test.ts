// One query below `viewer` loads everything that a front end shows first.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiScope, createApiToken } from '../../../src/auth/api-token.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

const EVERYTHING = `{
  viewer {
    login
    connectedAccounts { id }
    tweets(first: 2) { totalCount nodes { text account { id } } edges { node { text } } pageInfo { hasNextPage } }
    events(first: 1) { nodes { type } pageInfo { hasNextPage } }
    sessions { current }
    apiTokens { name }
    webhookEndpoints { url }
    rateLimit { cost }
  }
}`
// The fields that a user's API token with these scopes may read.
const OF_A_PROGRAM = `{
  viewer { login connectedAccounts { id } tweets { totalCount } events { nodes { type } } webhookEndpoints { id } }
}`
// The same in fragments, one of which is spread below `viewer` alone.
const BY_FRAGMENTS = `
  query { viewer { ...mine } }
  fragment mine on User { tweets { nodes { ...shown } } apiTokens { name } }
  fragment shown on Tweet { text account { id } }
`

let world: World
let instance: Instance
let account: ConnectedAccount
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  account = await connectAccount(world)
  for (const text of ['one', 'two', 'three']) await account.post(text)
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

const makeToken = async (scopes: ApiScope[], userId: string | null) => {
  const deps = { db: world.db(), clock: world.clock }
  return bearer(
    (await createApiToken(deps, { userId: userId ?? OPERATOR_ID }, { name: 'a program', scopes, expiresInDays: null }))
      .secret,
  )
}
const asked = (person: Browser, document: string) => instance.ask(document, cookieOf(person))

describe('the fields below viewer', () => {
  test.each([EVERYTHING, OF_A_PROGRAM, BY_FRAGMENTS])(
    'are null together with it for an anonymous caller: %s',
    async (document) => {
      const { status, data, errors } = await instance.ask(document)
      expect([status, data, errors]).toEqual([200, { viewer: null }, []])
    },
  )

  test('do not admit a field beside it', async () => {
    const response = await instance.ask('{ viewer { tweets { totalCount } } connectedAccounts { id } }')
    expect(response.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
    expect(response.data).toBeNull()
    // A fragment that is also spread outside of viewer is checked there.
    const both = `{ viewer { tweets { nodes { ...shown } } } tweet(tweetId: "x") { ...shown } } fragment shown on Tweet { account { id } }`
    expect((await instance.ask(both)).errors).toMatchObject([
      {
        message: expect.stringContaining('Tweet.account requires accounts:read'),
        extensions: { code: 'UNAUTHENTICATED' },
      },
    ])
  })

  test('are all of the signed-in user, in one query', async () => {
    const stranger = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
    await stranger.post('of somebody else')
    const { data, errors } = await asked(account.person, EVERYTHING)
    expect(errors).toEqual([])
    const node = (text: string) => ({ text, account: { id: account.id } })
    expect(data?.viewer).toEqual({
      login: 'mara-holt',
      connectedAccounts: [{ id: account.id }],
      tweets: {
        totalCount: 3,
        nodes: [node('three'), node('two')],
        edges: [{ node: { text: 'three' } }, { node: { text: 'two' } }],
        pageInfo: { hasNextPage: true },
      },
      events: { nodes: [{ type: 'SESSION_STARTED' }], pageInfo: { hasNextPage: true } },
      sessions: [{ current: true }],
      apiTokens: [],
      webhookEndpoints: [],
      rateLimit: { cost: expect.any(Number) },
    })
  })

  test('count the tweets of one account alone if asked to', async () => {
    const other = await connectAccount(world, { person: account.person })
    await other.post('with the other account')
    const document = (id: string) => `{ viewer { tweets(accountId: "${id}") { totalCount } } }`
    for (const [id, totalCount] of [
      [account.id, 3],
      [other.id, 1],
      ['x', 0],
    ] as const)
      expect((await asked(account.person, document(id))).data).toEqual({ viewer: { tweets: { totalCount } } })
  })

  test('are open to an API token with their scopes, and refuse one that lacks a scope by its name', async () => {
    const every = await makeToken(['accounts:read', 'tweets:read', 'events:read'], account.userId)
    expect(await instance.ask(OF_A_PROGRAM, every)).toMatchObject({
      status: 200,
      errors: [],
      data: { viewer: { login: 'mara-holt', tweets: { totalCount: 4 } } },
    })
    const one = await makeToken(['tweets:read'], account.userId)
    expect(await instance.ask(OF_A_PROGRAM, one)).toMatchObject({
      status: 403,
      data: null,
      errors: [{ extensions: { code: 'FORBIDDEN', missingScopes: ['accounts:read', 'events:read'] } }],
    })
    expect((await instance.ask('{ viewer { tweets { totalCount } } }', one)).data).toEqual({
      viewer: { tweets: { totalCount: 4 } },
    })
  })

  test('refuse sessions, API tokens and the addresses of webhooks to every API token', async () => {
    const every = await makeToken(['accounts:read', 'tweets:read', 'events:read'], account.userId)
    for (const field of ['sessions { id }', 'apiTokens { id }', 'webhookEndpoints { url }']) {
      const { status, errors } = await instance.ask(`{ viewer { ${field} } }`, every)
      expect([status, errors[0]?.extensions.code]).toEqual([403, 'FORBIDDEN'])
    }
  })

  test("refuse an operator's token, which acts for no user", async () => {
    const operator = await makeToken(['accounts:read', 'events:read'], null)
    expect((await instance.ask('{ viewer { login } }', operator)).data).toEqual({ viewer: null })
    for (const field of ['connectedAccounts { id }', 'tweets { totalCount }', 'events { nodes { id } }']) {
      const { status, errors } = await instance.ask(`{ viewer { ${field} } }`, operator)
      expect([status, errors[0]?.extensions.code]).toEqual([403, 'FORBIDDEN'])
    }
  })
})
