// When X's response to a refresh is read, the old token is used up: the new pair must not be lost,
// however odd the response.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

async function secondsLeft(account: ConnectedAccount): Promise<number> {
  const { accessTokenExpiresAt } = await account.show()
  return (Date.parse(accessTokenExpiresAt ?? '') - world.sandbox.control.now()) / 1000
}

describe.each<[string, string, number]>([
  ['7200', '7200', 7200],
  ['the text "7200"', '"7200"', 7200],
  ['a fraction', '5400.5', 5400.5],
  ['nothing', 'null', 7200],
  ['an empty text', '""', 7200],
  ['words', '"two hours"', 7200],
  ['true', 'true', 7200],
  ['an object', '{"seconds":7200}', 7200],
  ['a list', '[7200]', 7200],
  ['60', '60', 60],
  ['0', '0', 60],
  ['a negative number', '-7200', 60],
  ['1e99', '1e99', 86_400],
  ['more than JSON numbers hold', '1e999', 86_400],
])('T-04 a response whose expires_in is %s', (_, expiresIn, believed) => {
  test(`counts as ${believed} seconds, and the account works`, async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    // As text: JSON.stringify does not preserve every number here.
    const [accessToken, refreshToken] = [`odd-access-${account.username}`, `odd-refresh-${account.username}`]
    world.sandbox.control.inject(
      refreshFault({
        kind: 'malformed',
        act: true,
        body: `{"token_type":"bearer","expires_in":${expiresIn},"access_token":"${accessToken}","refresh_token":"${refreshToken}"}`,
      }),
    )
    const x = watchX(world)
    // X does not know the changed tokens, so the post is refused; the token that it was sent with
    // matters.
    world.sandbox.control.inject({ kind: 'status', status: 400, body: {}, match: { path: '/2/tweets' } })
    await account.post()
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
    const [sent] = world.sandbox.control.received({ path: '/2/tweets' }).slice(-1)
    expect(sent?.headers.authorization).toBe(`Bearer ${accessToken}`)
    expect(await account.tokens()).toMatchObject({ version: 2, state: 'ACTIVE', sentAt: null })
    const left = await secondsLeft(account)
    expect(left).toBeLessThanOrEqual(believed)
    expect(left).toBeGreaterThan(believed - 30)
  })
})

test('T-04 without expires_in a token counts as valid for two hours', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'response', omit: ['expires_in', 'token_type', 'scope'] }))
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(await secondsLeft(account)).toBeGreaterThan(7_100)
  expect(await secondsLeft(account)).toBeLessThanOrEqual(7_200)
})

test('a short-lived token is used, and refreshed once for each use', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'response', body: { expires_in: 60 }, times: null }))
  const x = watchX(world)
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(x.refreshes()).toBe(1)
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect([x.refreshes(), x.posts()]).toEqual([2, 2])
})

test('T-04 without a refresh token in the response the old one is kept', async () => {
  const account = await connectAccount(world)
  const { refreshToken } = account.grant()
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'response', omit: ['refresh_token'] }))
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(await account.tokens()).toMatchObject({ version: 2, state: 'ACTIVE' })
  expect(await account.storedRefreshToken()).toBe(refreshToken)
})

test('T-04 a new refresh token without an access token is kept, and used by the next refresh', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'response', omit: ['access_token'] }))
  const x = watchX(world)
  expect(await account.post()).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code: 'X_UNAVAILABLE' }] })
  expect([x.refreshes(), x.posts()]).toEqual([1, 0])
  expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect([x.refreshes(), x.posts()]).toEqual([2, 1])
  expect(account.grant()).toMatchObject({ live: true, rotations: 2, replays: 0 })
})

test('T-04 the scopes of a refresh response change nothing: the consent decides', async () => {
  const account = await connectAccount(world)
  const { scopes } = await account.show()
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'response', body: { scope: 'tweet.read' } }))
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(await account.show()).toMatchObject({ status: 'ACTIVE', scopes, missingScopes: [] })
})

test('T-04 unknown fields are ignored', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(
    refreshFault({ kind: 'response', body: { error: 'none', __proto__: { a: 1 }, id_token: {}, nested: [[[]]] } }),
  )
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(account.grant()).toMatchObject({ rotations: 1, replays: 0 })
})
