// The events that an integrator reads with an operator's token.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken, revokeApiToken } from '../../../src/auth/api-token.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { type EventPage, newPerson } from '../../support/event-reader.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
let instance: Instance
let operator: Record<string, string>
let tokenId: string
beforeAll(async () => {
  world = await startWorld({}, { streamRecheckSeconds: 600 })
  instance = openInstance(world)
  const deps = { db: world.db(), clock: world.clock }
  const made = await createApiToken(
    deps,
    { userId: OPERATOR_ID },
    { name: 'monitor', scopes: ['events:read'], expiresInDays: 1 },
  )
  operator = bearer(made.secret)
  tokenId = made.apiToken.id
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

const show = (person: Browser, visibility: 'NOBODY' | 'INTEGRATORS') =>
  person.api('set-link-visibility', { input: { visibility } })

async function ask(variables: Record<string, unknown> = {}): Promise<EventPage> {
  const response = await instance.ask(readOperation('events'), operator, variables)
  if (response.data === null) throw new Error(response.text)
  return response.data.events as EventPage
}
const heardOf = ({ edges }: EventPage, accountId: string) =>
  edges.filter(({ node }) => node.accountId === accountId).map(({ node }) => node.type)

test('an operator reads account events only of the time in which the user shows their accounts', async () => {
  const account = await connectAccount(world, { person: await newPerson(world) })
  const again = () => account.person.connect(account.username)
  expect(heardOf(await ask(), account.id)).toEqual([])
  await show(account.person, 'INTEGRATORS')
  // What was before was not for integrators.
  expect(heardOf(await ask(), account.id)).toEqual([])
  await account.post()
  await again()
  await account.disconnect()
  expect(heardOf(await ask(), account.id)).toEqual(['ACCOUNT_RECONNECTED', 'ACCOUNT_DISCONNECTED'])
  await show(account.person, 'NOBODY')
  expect(heardOf(await ask(), account.id)).toEqual([])
  await again()
  await show(account.person, 'INTEGRATORS')
  expect(heardOf(await ask(), account.id)).toEqual([])
  await account.disconnect()
  const page = await ask()
  expect(heardOf(page, account.id)).toEqual(['ACCOUNT_DISCONNECTED'])
  // Of whom, for looking them up.
  expect(page.edges.at(-1)?.node).toMatchObject({ userId: account.userId, accountId: account.id, tweetId: null })
})

test('an operator sees the account of an event as integrators do, and while it is connected and shown', async () => {
  const account = await connectAccount(world, { person: await newPerson(world) })
  await show(account.person, 'INTEGRATORS')
  await account.person.connect(account.username)
  const deps = { db: world.db(), clock: world.clock }
  const input = { name: 'both', scopes: ['events:read', 'accounts:read'], expiresInDays: 1 }
  const { secret } = await createApiToken(deps, { userId: OPERATOR_ID }, input)
  const read = async (fields: string) => {
    const document = `query ($accountId: ID) { events(accountId: $accountId) { edges { node { type ${fields} } } } }`
    return instance.ask(document, bearer(secret), { accountId: account.id })
  }
  const seen = async () => (await read('linkedAccount { id username }')).data?.events
  const edge = (linkedAccount: unknown) => ({ edges: [{ node: { type: 'ACCOUNT_RECONNECTED', linkedAccount } }] })
  expect(await seen()).toEqual(edge({ id: account.id, username: account.username }))
  await account.disconnect()
  expect(await seen()).toMatchObject({ edges: [...edge(null).edges, { node: { linkedAccount: null } }] })
  // The types of the user's own fields are not for operators.
  expect((await read('account { id }')).status).toBe(403)
  expect((await read('tweet { id }')).status).toBe(403)
})

test('resuming before deleted events is refused only if the operator could have read them', async () => {
  const [shown, hidden] = [
    await connectAccount(world, { person: await newPerson(world) }),
    await connectAccount(world, { person: await newPerson(world) }),
  ]
  await show(shown.person, 'INTEGRATORS')
  await shown.disconnect()
  const { pageInfo } = await ask({ last: 1 })
  const sweepAll = async () => {
    await world.db().execute(sql`update events set occurred_at = occurred_at - interval '91 days'`)
    await sweepNow(world)
  }
  await hidden.disconnect()
  await shown.person.signIn('mara-holt')
  await sweepAll()
  expect((await ask({ after: pageInfo.endCursor })).edges).toEqual([])
  const person = await newPerson(world)
  await show(person, 'INTEGRATORS')
  await connectAccount(world, { person })
  await sweepAll()
  await expect(ask({ after: pageInfo.endCursor })).rejects.toThrow('CURSOR_EXPIRED')
})

test('a stream sends the same events, and ends with its token', async () => {
  const [shown, hidden] = [
    await connectAccount(world, { person: await newPerson(world) }),
    await connectAccount(world, { person: await newPerson(world) }),
  ]
  await show(shown.person, 'INTEGRATORS')
  const stream = await openStream(world.url, operator)
  await hidden.disconnect()
  await shown.post()
  await shown.disconnect()
  await expect.poll(() => stream.types(), { timeout: 20_000, interval: 10 }).toEqual(['ACCOUNT_DISCONNECTED'])
  expect(stream.edges[0]?.node.accountId).toBe(shown.id)
  await revokeApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, tokenId)
  expect(await stream.ended).toEqual({ completed: true, codes: ['UNAUTHENTICATED'] })
  expect(stream.types()).toEqual(['ACCOUNT_DISCONNECTED'])
})
