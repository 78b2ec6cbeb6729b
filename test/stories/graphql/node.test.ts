// Loads every object with an id by that id.
import { and, eq } from 'drizzle-orm'
import { isInterfaceType, isObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ApiScope, createApiToken } from '../../../src/auth/api-token.ts'
import {
  apiTokens,
  connectAttempts,
  events,
  OPERATOR_ID,
  sessions,
  tweets,
  webhookDeliveries,
  webhookEndpoints,
} from '../../../src/db/tables.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'

let world: World
let instance: Instance
let account: ConnectedAccount
/** An id of each type that a user owns. */
let owned: Record<string, string>
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  instance = openInstance(world)
  account = await connectAccount(world)
  owned = await ownOneOfEach()
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
async function findTypes(ids: readonly string[], headers: Record<string, string>): Promise<(string | null)[]> {
  const { data, errors } = await instance.ask(readOperation('nodes'), headers, { ids })
  expect(errors).toEqual([])
  const nodes = (data?.nodes ?? []) as ({ __typename: string } | null)[]
  return nodes.map((node) => node?.__typename ?? null)
}

async function ownOneOfEach(): Promise<Record<string, string>> {
  const { person, userId } = account
  await person.query('mutation { createWebhookEndpoint(input: {url: "http://127.0.0.1:9/"}) { userErrors { code } } }')
  await account.makeToken(['accounts:read'])
  await account.post()
  await person.startXConnect()
  const db = world.db()
  const [endpoint] = await db.select().from(webhookEndpoints).where(eq(webhookEndpoints.userId, userId))
  const deliveries = () =>
    db
      .select()
      .from(webhookDeliveries)
      .where(eq(webhookDeliveries.endpointId, endpoint?.id ?? ''))
  await vi.waitFor(async () => expect(await deliveries()).not.toEqual([]), 20_000)
  const first = async (table: typeof tweets | typeof events | typeof apiTokens) => {
    const rows = await db.select({ id: table.id }).from(table).where(eq(table.userId, userId))
    return rows.at(-1)?.id ?? ''
  }
  const [session] = await db.select().from(sessions).where(eq(sessions.userId, userId))
  const [attempt] = await db.select().from(connectAttempts).where(eq(connectAttempts.userId, userId))
  return {
    User: userId,
    ConnectedAccount: account.id,
    ConnectAttempt: attempt?.id ?? '',
    Tweet: await first(tweets),
    Event: await first(events),
    ApiToken: await first(apiTokens),
    Session: session?.publicId ?? '',
    WebhookEndpoint: endpoint?.id ?? '',
    WebhookDelivery: (await deliveries())[0]?.id ?? '',
  }
}

/** Returns the types that a caller finds among the owned ids. */
async function typesFor(headers: Record<string, string>): Promise<(string | null)[]> {
  return (await findTypes(Object.values(owned), headers)).filter((type) => type !== null).toSorted()
}

test('every object type with an id is a Node, but UserDeletion and what operators administer, and this story has an id of each', () => {
  // A deletion belongs to nobody: its user is gone, and its id alone is the permission to see it. An
  // operator finds what belongs to users below `admin`.
  const withId = Object.values(schema.getTypeMap()).filter(
    (type) =>
      isObjectType(type) && 'id' in type.getFields() && type.name !== 'UserDeletion' && !type.name.startsWith('Admin'),
  )
  const node = schema.getType('Node')
  expect(isInterfaceType(node) && schema.getPossibleTypes(node).toSorted()).toEqual(withId.toSorted())
  expect([...Object.keys(owned), 'LinkedUser', 'LinkedAccount'].toSorted()).toEqual(
    withId.map(({ name }) => name).toSorted(),
  )
})

describe('a signed-in user', () => {
  test('finds each of their objects by its id, in the order of the ids', async () => {
    const ids = Object.values(owned)
    expect(await findTypes(ids, cookieOf(account.person))).toEqual(Object.keys(owned))
    expect(await findTypes(ids.toReversed(), cookieOf(account.person))).toEqual(Object.keys(owned).toReversed())
    for (const [type, id] of Object.entries(owned)) {
      const { data } = await instance.ask(readOperation('node'), cookieOf(account.person), { id: id.toUpperCase() })
      expect(data).toEqual({ node: { __typename: type, id } })
    }
  })

  test('gets the fields of the type and of its connections', async () => {
    const document = `query ($id: ID!) {
      node(id: $id) { id ... on Tweet { text status account { username } } }
    }`
    const { data } = await instance.ask(document, cookieOf(account.person), { id: owned.Tweet })
    expect(data?.node).toMatchObject({
      id: owned.Tweet,
      text: expect.stringContaining(account.username),
      status: 'POSTED',
      account: { username: account.username },
    })
  })

  test('finds null for an unknown id, an invalid one, and one of another user', async () => {
    const stranger = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
    await stranger.post()
    const [theirs] = await stranger.tweets()
    const ids = [owned.Tweet ?? '', crypto.randomUUID(), 'x', '', '\0', theirs?.id ?? '', stranger.id, stranger.userId]
    expect(await findTypes(ids, cookieOf(account.person))).toEqual(['Tweet', ...ids.slice(1).map(() => null)])
    expect(await findTypes(Object.values(owned), cookieOf(stranger.person))).toEqual(Object.keys(owned).map(() => null))
  })

  test('may repeat an id, and ask for at most a hundred', async () => {
    const id = owned.Tweet ?? ''
    expect(await findTypes([id, id], cookieOf(account.person))).toEqual(['Tweet', 'Tweet'])
    const ids = Array.from({ length: 101 }, () => id)
    expect(await findTypes(ids.slice(1), cookieOf(account.person))).toHaveLength(100)
    const refused = await instance.ask(readOperation('nodes'), cookieOf(account.person), { ids })
    expect(refused.errors).toMatchObject([{ message: expect.stringContaining('101'), extensions: expect.anything() }])
  })
})

test('the viewer is named once at most: a document does not multiply the statements of a list', async () => {
  const document = `query ($ids: [ID!]!) {
    nodes(ids: $ids) { ... on User { events(first: 1, accountId: "${crypto.randomUUID()}") { pageInfo { hasNextPage } } } }
  }`
  const send = (ids: string[]) => instance.ask(document, cookieOf(account.person), { ids })
  const once = await send([account.userId, crypto.randomUUID()])
  expect(once).toMatchObject({ errors: [], data: { nodes: [{ events: expect.anything() }, null] } })
  const ids = Array.from({ length: 40 }, (_, at) => (at % 2 ? account.userId : account.userId.toUpperCase()))
  const queries = await instance.queriesOf(async () => {
    const extensions = { code: 'BAD_USER_INPUT', field: ['ids'] }
    expect(await send(ids)).toMatchObject({ data: null, errors: [{ extensions }] })
  })
  expect(queries.filter((query) => query.includes('"events"'))).toEqual([])
})

test('an anonymous caller gets UNAUTHENTICATED', async () => {
  const { status, errors } = await instance.ask(readOperation('node'), {}, { id: owned.Tweet })
  expect([status, errors[0]?.extensions.code]).toEqual([401, 'UNAUTHENTICATED'])
})

test.each<[ApiScope, string[]]>([
  ['accounts:read', ['ConnectAttempt', 'ConnectedAccount', 'User']],
  ['accounts:write', ['User']],
  ['tweets:read', ['Tweet', 'User']],
  ['tweets:write', ['User']],
  ['events:read', ['Event', 'User', 'WebhookDelivery', 'WebhookEndpoint']],
])('a token with %s finds the types of that scope, and null in place of all others', async (scope, types) => {
  expect(await typesFor(await makeToken([scope], account.userId))).toEqual(types)
})

describe("an operator's token", () => {
  test('runs the same statements for an id that is hidden as for one that is unknown', async () => {
    const headers = await makeToken(['accounts:read', 'events:read'], null)
    const statementsFor = (id: string) =>
      instance.queriesOf(async () => expect(await findTypes([id], headers)).toEqual([null]))
    // The first use of a token is recorded.
    await statementsFor(crypto.randomUUID())
    const unknown = await statementsFor(crypto.randomUUID())
    for (const id of [account.userId, account.id, owned.Event ?? '', owned.Tweet ?? ''])
      expect(await statementsFor(id)).toEqual(unknown)
  })

  test('finds what a user shows, and nothing before that', async () => {
    const ids = [account.userId, account.id, owned.Tweet ?? '', owned.Session ?? '']
    const accounts = await makeToken(['accounts:read'], null)
    const readsEvents = await makeToken(['events:read'], null)
    const nothing = ids.map(() => null)
    expect(await findTypes(ids, accounts)).toEqual(nothing)
    await account.person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
    expect(await findTypes(ids, accounts)).toEqual(['LinkedUser', 'LinkedAccount', null, null])
    expect(await findTypes(ids, readsEvents)).toEqual(nothing)
    const { data } = await instance.ask(
      'query ($id: ID!) { node(id: $id) { ... on LinkedUser { login accounts { id } } } }',
      accounts,
      { id: account.userId },
    )
    expect(data).toEqual({ node: { login: 'mara-holt', accounts: [{ id: account.id }] } })
    // An event since then, and none from before.
    expect(await findTypes([owned.Event ?? ''], readsEvents)).toEqual([null])
    await account.person.connect(account.username)
    const [shown] = await world
      .db()
      .select()
      .from(events)
      .where(and(eq(events.accountId, account.id), eq(events.type, 'account.reconnected')))
    expect(await findTypes([shown?.id ?? ''], readsEvents)).toEqual(['Event'])
    expect(await findTypes([shown?.id ?? ''], accounts)).toEqual([null])
    await account.person.api('set-link-visibility', { input: { visibility: 'NOBODY' } })
    expect(await findTypes([...ids, shown?.id ?? ''], accounts)).toEqual([...nothing, null])
  })
})
