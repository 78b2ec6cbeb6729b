// What a user's API token reads of events and webhooks: nothing of sessions, and no address of a
// webhook endpoint.
import { and, eq, like } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { apiScopes, events, webhookDeliveries } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount } from '../../support/connected-account.ts'
import { newPerson } from '../../support/event-reader.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

let world: World
let instance: Instance
let account: ConnectedAccount
let token: Record<string, string>
let endpointId: string
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  instance = openInstance(world)
  account = await connectAccount(world, { person: await newPerson(world) })
  const made = { name: 'a program', scopes: apiScopes, expiresInDays: 1 }
  token = bearer((await createApiToken({ db: world.db(), clock: world.clock }, account, made)).secret)
  const created = await account.person.query<{ createWebhookEndpoint: { webhookEndpoint: { id: string } } }>(
    'mutation { createWebhookEndpoint(input: {url: "http://127.0.0.1:9/secret-path"}) { webhookEndpoint { id } } }',
  )
  endpointId = created.createWebhookEndpoint.webhookEndpoint.id
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

/** Signs in once more, which records an event of a session. */
async function signInElsewhere(): Promise<void> {
  const { viewer } = await account.person.api<{ viewer: { login: string } }>('viewer')
  await world.signedIn(viewer.login)
}

const typesOf = async (headers: Record<string, string>) => {
  const { data } = await instance.ask('{ events(first: 100) { nodes { type } } }', headers)
  return ((data?.events ?? { nodes: [] }) as { nodes: { type: string }[] }).nodes.map(({ type }) => type)
}
const isOfSession = (type: string) => type.startsWith('SESSION_')

test('K-12 a list of events has those of sessions for the session alone', async () => {
  await signInElsewhere()
  const all = await typesOf(cookieOf(account.person))
  expect(all.filter(isOfSession).length).toBeGreaterThan(1)
  expect(await typesOf(token)).toEqual(all.filter((type) => !isOfSession(type)))
  expect(await typesOf(token)).toEqual(expect.arrayContaining(['ACCOUNT_CONNECTED', 'TOKEN_CREATED']))
  const { data } = await instance.ask('{ viewer { events(first: 100) { nodes { type } } } }', token)
  expect(JSON.stringify(data)).not.toContain('SESSION_')
})

test.each([
  ['a list', '{ events(types: [ACCOUNT_CONNECTED, SESSION_STARTED]) { nodes { type } } }'],
  ['the list of the viewer', '{ viewer { events(types: [SESSION_ENDED]) { nodes { type } } } }'],
])('K-12 a token that asks %s for events of sessions is refused', async (_what, document) => {
  const { errors } = await instance.ask(document, token)
  expect(errors).toMatchObject([
    { message: expect.stringContaining('in a browser that is signed in'), extensions: { code: 'FORBIDDEN' } },
  ])
})

test('K-12 a stream of a token sends no events of sessions, and refuses their types', async () => {
  const asked = await openStream(world.url, token, { types: ['SESSION_STARTED'] })
  expect(await asked.ended).toMatchObject({ codes: ['FORBIDDEN'] })
  const stream = await openStream(world.url, token)
  await signInElsewhere()
  await account.post()
  await vi.waitFor(() => expect(stream.types()).toEqual(['TWEET_POSTED']), 20_000)
  await stream.hangUp()
})

test('K-12 an event of a session, and its delivery to a webhook, are no node and no list entry of a token', async () => {
  await signInElsewhere()
  await account.person.query(
    `mutation { testWebhookEndpoint(input: {webhookEndpointId: "${endpointId}"}) { userErrors { code } } }`,
  )
  const ofSession = and(eq(events.userId, account.userId), like(events.type, 'session.%'))
  const readDeliveries = () =>
    world
      .db()
      .select({ id: webhookDeliveries.id, eventId: events.id })
      .from(webhookDeliveries)
      .innerJoin(events, eq(events.id, webhookDeliveries.eventId))
      .where(ofSession)
  await vi.waitFor(async () => expect(await readDeliveries()).not.toEqual([]), 20_000)
  const ids = (await readDeliveries()).flatMap(({ id, eventId }) => [id, eventId])
  const document = 'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }'
  const countNodes = async (headers: Record<string, string>) => {
    const { data } = await instance.ask(document, headers, { ids })
    return ((data?.nodes ?? []) as unknown[]).filter((node) => node !== null).length
  }
  expect([await countNodes(cookieOf(account.person)), await countNodes(token)]).toEqual([ids.length, 0])
  const list = `{ webhookDeliveries(webhookEndpointId: "${endpointId}", first: 100) { nodes { eventType } } }`
  await vi.waitFor(async () => expect((await instance.ask(list, token)).text).toContain('WEBHOOK_TEST'), 20_000)
  expect((await instance.ask(list, cookieOf(account.person))).text).toContain('SESSION_STARTED')
  const { text } = await instance.ask(list, token)
  expect(text).not.toContain('SESSION_')
})

test.each([
  ['the list', '{ webhookEndpoints { id url } }'],
  ['the list of the viewer', '{ viewer { webhookEndpoints { url } } }'],
  ['a node', 'query ($id: ID!) { node(id: $id) { ... on WebhookEndpoint { url } } }'],
])('K-12 the address of a webhook endpoint is refused to a token by %s', async (_what, document) => {
  const response = await instance.ask(document, token, { id: endpointId })
  expect(response).toMatchObject({ status: 403, data: null, errors: [{ extensions: { code: 'FORBIDDEN' } }] })
  expect(response.text).not.toContain('secret-path')
  expect((await instance.ask(document, cookieOf(account.person), { id: endpointId })).text).toContain('secret-path')
  expect((await instance.ask('{ webhookEndpoints { id status } }', token)).data).toEqual({
    webhookEndpoints: [{ id: endpointId, status: 'ENABLED' }],
  })
})
