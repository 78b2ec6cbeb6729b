// The limit of the X accounts that one user may have connected.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accountHolders, connectedAccounts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { newPerson } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'

const LIMIT = 3

let world: World
beforeAll(async () => {
  world = await startWorld({ MAX_ACCOUNTS_PER_USER: String(LIMIT) })
})
afterAll(() => world.close())

const statusesOf = async (userId: string) =>
  (await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.userId, userId)))
    .map(({ status }) => status)
    .toSorted()
const holdersOf = (userId: string) => world.db().$count(accountHolders, eq(accountHolders.userId, userId))

let lastNumber = 0
/** Adds an account at X that is not connected. */
function addAccount(): { username: string; id: string } {
  lastNumber += 1
  const username = `further_${lastNumber}`
  return { username, id: world.sandbox.control.addAccount(username) }
}

async function fill(person: Browser, count: number) {
  const accounts = []
  for (let number = 0; number < count; number++) accounts.push(await connectAccount(world, { person }))
  return accounts
}

test('an account beyond the limit is refused with what to do, its tokens are revoked, and nothing of it is stored', async () => {
  const person = await newPerson(world)
  const [first] = await fill(person, LIMIT)
  const userId = first?.userId ?? ''
  const further = addAccount()
  expect(await person.connect(further.username)).toMatchObject({ outcome: 'failed', code: 'TOO_MANY_ACCOUNTS' })
  expect(await statusesOf(userId)).toEqual(Array(LIMIT).fill('ACTIVE'))
  expect(await holdersOf(userId)).toBe(LIMIT)
  await expect.poll(() => world.sandbox.control.countReceived({ path: '/2/oauth2/revoke' })).toBe(1)

  // One that the user has is connected again all the same.
  expect(await person.connect(first?.username ?? '')).toMatchObject({ outcome: 'connected' })
  await first?.disconnect()
  expect(await person.connect(further.username)).toMatchObject({ outcome: 'connected' })
  // And a disconnected one needs a place.
  expect(await person.connect(first?.username ?? '')).toMatchObject({ outcome: 'failed', code: 'TOO_MANY_ACCOUNTS' })
  expect(await statusesOf(userId)).toEqual([...Array(LIMIT).fill('ACTIVE'), 'DISCONNECTED'])
  expect(await holdersOf(userId)).toBe(LIMIT)
})

test('of two connections that are stored at once at the last place, exactly one is', async () => {
  const person = await newPerson(world)
  const [first] = await fill(person, LIMIT - 1)
  const userId = first?.userId ?? ''
  const callbacks: string[] = []
  for (let number = 0; number < 2; number++) {
    const { authorizationUrl } = await person.startXConnect()
    callbacks.push(await person.consent(authorizationUrl ?? '', addAccount().username))
  }
  const arrivals = await Promise.all(callbacks.map((url) => person.finish(url)))
  expect(arrivals.map(({ outcome, code }) => code ?? outcome).toSorted()).toEqual(['TOO_MANY_ACCOUNTS', 'connected'])
  expect(await statusesOf(userId)).toEqual(Array(LIMIT).fill('ACTIVE'))
  expect(await holdersOf(userId)).toBe(LIMIT)
})
