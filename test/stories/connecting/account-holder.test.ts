// One X account belongs to one user at a time, however many connect it, leave it or are deleted at
// once.
import { eq, ne } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { accountHolders, connectedAccounts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

const LOGINS = ['mara-holt', 'tomasz-k', 'yuki-ito', 'fifth-one', 'fourth-one'] as const
const TAKEN = 'ACCOUNT_CONNECTED_TO_ANOTHER_USER'

let world: World
beforeAll(async () => {
  world = await startWorld()
  for (const login of LOGINS.slice(3)) world.sandbox.control.addGithubPerson(login)
})
afterEach(async () => {
  world.sandbox.control.clearFaults()
  expect(await readHolders()).toEqual(await readConnected())
})
afterAll(() => world.close())

const userAndAccount = (rows: { userId: string; providerAccountId: string }[]) =>
  rows.map(({ userId, providerAccountId }) => `${userId} ${providerAccountId}`).toSorted()

const readHolders = async () => userAndAccount(await world.db().select().from(accountHolders))

const readConnected = async () =>
  userAndAccount(await world.db().select().from(connectedAccounts).where(ne(connectedAccounts.status, 'DISCONNECTED')))

const accountsNamed = (username: string) =>
  world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))

async function approved(person: Browser, username: string): Promise<string> {
  const { authorizationUrl } = await person.startXConnect()
  return person.consent(authorizationUrl ?? '', username)
}

async function disconnect(person: Browser, username: string): Promise<unknown> {
  const accounts = await person.api<{ connectedAccounts: { id: string; username: string }[] }>('connected-accounts')
  const accountId = accounts.connectedAccounts.find((account) => account.username === username)?.id
  return person.api('disconnect-account', { input: { accountId } })
}

test('of five users who connect one X account at once, one has it', { timeout: 60_000 }, async () => {
  const username = 'wanted_by_five'
  world.sandbox.control.addAccount(username)
  const people = await Promise.all(LOGINS.map((login) => world.signedIn(login)))
  const callbacks = await Promise.all(people.map((person) => approved(person, username)))
  const profile = { path: '/2/users/me' }
  const before = world.sandbox.control.countReceived(profile)
  // X names the account to each of them before the next one's approval ends the grant. All responses
  // arrive at about the same time.
  for (const index of people.keys())
    world.sandbox.control.inject({
      kind: 'delayAfter',
      milliseconds: 2_500 - 500 * index,
      after: index,
      match: profile,
    })
  const arrivals = []
  for (const [index, person] of people.entries()) {
    arrivals.push(person.finish(callbacks[index] ?? ''))
    await expect
      .poll(() => world.sandbox.control.countReceived(profile), { interval: 1, timeout: 20_000 })
      .toBeGreaterThanOrEqual(before + index + 1)
  }
  const outcomes = await Promise.all(arrivals)
  expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual([
    'connected',
    ...Array.from({ length: 4 }, () => 'failed'),
  ])
  for (const { outcome, code } of outcomes) if (outcome === 'failed') expect([TAKEN, 'X_UNAVAILABLE']).toContain(code)
  expect(await accountsNamed(username)).toHaveLength(1)
})

test('an account passes to another user once it is disconnected, and back to the row of the first', async () => {
  const username = 'passed_on'
  world.sandbox.control.addAccount(username)
  const first = await world.connected(username)
  const second = await world.signedIn('tomasz-k')
  const [connected] = await accountsNamed(username)
  expect(await second.connect(username)).toMatchObject({ outcome: 'failed', code: TAKEN })
  await disconnect(first, username)
  expect(await second.connect(username)).toMatchObject({ outcome: 'connected' })
  expect(await first.connect(username)).toMatchObject({ outcome: 'failed', code: TAKEN })
  await disconnect(second, username)
  expect(await first.connect(username)).toMatchObject({ outcome: 'connected' })
  const rows = await accountsNamed(username)
  expect(new Map(rows.map(({ userId, status }) => [userId === connected?.userId, status]))).toEqual(
    new Map([
      [true, 'ACTIVE'],
      [false, 'DISCONNECTED'],
    ]),
  )
  expect(rows.find(({ userId }) => userId === connected?.userId)?.id).toBe(connected?.id)
})

test('a user who connects an account again keeps it', async () => {
  const username = 'kept_by_one'
  world.sandbox.control.addAccount(username)
  const person = await world.connected(username)
  const before = await accountsNamed(username)
  expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
  expect((await accountsNamed(username)).map(({ id }) => id)).toEqual(before.map(({ id }) => id))
})

test('a disconnection and a connection of one account by its user at once end as one of the two', async () => {
  const username = 'left_and_joined'
  world.sandbox.control.addAccount(username)
  const person = await world.connected(username)
  for (let round = 0; round < 5; round++) {
    const callback = await approved(person, username)
    const [arrival] = await Promise.all([person.finish(callback), disconnect(person, username)])
    expect(arrival).toMatchObject({ outcome: 'connected' })
    const [account] = await accountsNamed(username)
    if (account?.status === 'DISCONNECTED')
      expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    expect(await readHolders()).toEqual(await readConnected())
  }
})

test('while its user disconnects an account and another connects it, nobody has it twice', async () => {
  const username = 'handed_over'
  world.sandbox.control.addAccount(username)
  const people = [await world.connected(username), await world.signedIn('tomasz-k')] as const
  for (let round = 0; round < 6; round++) {
    const [from, to] = round % 2 === 0 ? people : people.toReversed()
    if (from === undefined || to === undefined) throw new Error('Two people are needed')
    const callback = await approved(to, username)
    const [arrival] = await Promise.all([to.finish(callback), disconnect(from, username)])
    if (arrival.outcome !== 'connected') {
      expect(arrival).toMatchObject({ outcome: 'failed', code: TAKEN })
      expect(await to.connect(username)).toMatchObject({ outcome: 'connected' })
    }
    expect(await readHolders()).toEqual(await readConnected())
  }
})

test('the deletion of a user frees their X accounts', async () => {
  const username = 'freed'
  world.sandbox.control.addAccount(username)
  const leaving = await world.connected(username, 'fourth-one')
  const next = await world.signedIn('tomasz-k')
  expect(await next.connect(username)).toMatchObject({ outcome: 'failed', code: TAKEN })
  await leaving.api('delete-viewer', { input: { login: 'fourth-one' } })
  expect(await next.connect(username)).toMatchObject({ outcome: 'connected' })
})

test('a user who is deleted while they connect an account leaves it free', async () => {
  for (let round = 0; round < 4; round++) {
    const username = `freed_at_once_${round}`
    world.sandbox.control.addAccount(username)
    const leaving = await world.signedIn('fifth-one')
    // Connected before in every second round: the connection then writes over the earlier row.
    if (round % 2 === 1) {
      expect(await leaving.connect(username)).toMatchObject({ outcome: 'connected' })
      await disconnect(leaving, username)
    }
    const callback = await approved(leaving, username)
    const [arrival, deleted] = await Promise.all([
      leaving.finish(callback),
      leaving.api('delete-viewer', { input: { login: 'fifth-one' } }),
    ])
    expect(deleted).toMatchObject({ deleteViewer: { userErrors: [] } })
    if (arrival.outcome !== 'connected') expect(arrival).toMatchObject({ outcome: 'failed', code: 'SESSION_MISSING' })
    const next = await world.signedIn('tomasz-k')
    expect(await next.connect(username)).toMatchObject({ outcome: 'connected' })
  }
})
