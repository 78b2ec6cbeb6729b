// X rejects access tokens that it has just issued with 401, as it does while it refuses the whole
// app.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectAccount, endFaults, postFault, UNTIL_ENDED_SECONDS, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeEach(async () => {
  world = await startWorld()
})
afterEach(() => world.close())

async function problems(): Promise<{ code: string; since: string | null; detail: string }[]> {
  const response = await world.browser().request('/readyz')
  expect(response.status).toBe(200)
  return ((await response.json()) as { problems: { code: string; since: string | null; detail: string }[] }).problems
}

const refuseEverything = () =>
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized', times: null }))
const unavailable = { tweet: { status: 'FAILED' }, userErrors: [{ code: 'X_UNAVAILABLE', retryable: true }] }

test('no account uses more than one refresh token for it, however often it posts', async () => {
  const person = await world.signedIn()
  const accounts = [await connectAccount(world, { person }), await connectAccount(world, { person })]
  refuseEverything()
  const x = watchX(world)
  for (let round = 0; round < 5; round++)
    for (const account of accounts) expect(await account.post()).toMatchObject(unavailable)
  // Each was refreshed once and posted once more with the new token; from then on once a post.
  expect([x.refreshes(), x.posts()]).toEqual([2, 12])
  for (const account of accounts) expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
  expect(await problems()).toEqual([
    { code: 'X_TOKENS_REFUSED', since: expect.any(String), detail: expect.stringContaining('2 accounts') },
  ])

  endFaults(world)
  expect(await accounts[0]?.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(await problems()).toMatchObject([{ detail: expect.stringContaining('one account') }])
  expect(await accounts[1]?.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(await problems()).toEqual([])
  expect(x.refreshes()).toBe(2)
})

test('50 simultaneous posts share that one refresh', async () => {
  const account = await connectAccount(world)
  refuseEverything()
  const x = watchX(world)
  const round = () => Promise.all(Array.from({ length: 50 }, () => account.post()))
  for (const response of [...(await round()), ...(await round())]) expect(response).toMatchObject(unavailable)
  expect(x.refreshes()).toBe(1)
})

test('a token that X keeps rejecting is replaced once more after a quarter of an hour', async () => {
  const account = await connectAccount(world)
  refuseEverything()
  const x = watchX(world)
  await account.post()
  world.advance(890)
  await account.post()
  expect(x.refreshes()).toBe(1)
  world.advance(20)
  await account.post()
  await account.post()
  expect(x.refreshes()).toBe(2)
  endFaults(world)
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(account.grant()).toMatchObject({ live: true, replays: 0 })
})

test('a token that replaced an expired one is not refreshed again either', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  refuseEverything()
  const x = watchX(world)
  await account.post()
  expect(await account.post()).toMatchObject(unavailable)
  expect([x.refreshes(), x.posts()]).toEqual([1, 2])
})

test('a grant that is revoked after X accepted its new token is noticed at the next post', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized', times: 2 }))
  await account.post()
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  world.sandbox.control.revokeGrant(account.username)
  expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
})

test('connecting again forgets the rejection, and so does an hour', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized', times: 2 }))
  await account.post()
  expect(await problems()).toHaveLength(1)
  world.advance(3_601)
  expect(await problems()).toEqual([])
  expect((await account.tokens())?.accessRefusedAt).not.toBeNull()
  await account.person.connect(account.username, { reconnectAccountId: account.id })
  expect(await account.tokens()).toMatchObject({ accessUnproven: false, accessRefusedAt: null })
})

test('an account without a refresh token is not given up while X rejects new tokens of others', async () => {
  const person = await world.signedIn()
  const other = await connectAccount(world, { person })
  const limited = await connectAccount(world, { person, scopes: ['tweet.read', 'tweet.write', 'users.read'] })
  refuseEverything()
  await other.post()
  expect(await limited.post()).toMatchObject(unavailable)
  expect(await limited.show()).toMatchObject({ status: 'LIMITED' })
  endFaults(world)
  expect(await limited.post()).toMatchObject({ tweet: { status: 'POSTED' } })
})
