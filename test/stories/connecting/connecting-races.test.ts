import { and, eq, ne } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tokenSealContext } from '../../../src/accounts/sealed-tokens.ts'
import { unseal } from '../../../src/crypto.ts'
import { connectAttempts, connectedAccounts, grantRevocations, oauthTokens } from '../../../src/db/tables.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const rowsOf = (username: string) =>
  world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
const revocationsDone = () => expect.poll(() => world.db().$count(grantRevocations), { timeout: 20_000 }).toBe(0)

async function approved(person: Browser, username: string): Promise<string> {
  const { authorizationUrl } = await person.startXConnect()
  return person.consent(authorizationUrl ?? '', username)
}

test('L-04 refuses an X account that another user has connected, and gives the grant back', async () => {
  world.sandbox.control.addAccount('taken')
  const first = await world.connected('taken')
  const before = await rowsOf('taken')
  const second = await world.signedIn('tomasz-k')
  const arrival = await second.connect('taken')
  expect(arrival).toMatchObject({ outcome: 'failed', code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' })
  expect(await second.api('connect-attempt', { connectAttemptId: arrival.attempt })).toMatchObject({
    connectAttempt: { status: 'FAILED', error: { code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' }, account: null },
  })
  // X has ended the first user's tokens, and their account says so at once.
  const cut = { status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED', statusSince: expect.any(Date) }
  expect(await rowsOf('taken')).toEqual([{ ...before[0], ...cut }])
  expect(await second.api('connected-accounts')).toEqual({ connectedAccounts: [] })
  await revocationsDone()
  expect(world.sandbox.control.grants('taken').map(({ ended }) => ended)).toEqual(['superseded', 'revoked-by-app'])
  // Once the account is free, it may be connected.
  await first.api('disconnect-account', { input: { accountId: before[0]?.id } })
  expect(await second.connect('taken')).toMatchObject({ outcome: 'connected' })
})

test('L-04 of two users who finish at the same moment, one gets the X account, each time', async () => {
  const people = [await world.signedIn(), await world.signedIn('tomasz-k')]
  const countMe = () => world.sandbox.control.countReceived({ path: '/2/users/me' })
  const winners: number[] = []
  for (let round = 0; round < 15; round++) {
    const username = `raced_${round}`
    world.sandbox.control.addAccount(username)
    const callbacks = await Promise.all(people.map((person) => approved(person, username)))
    const before = countMe()
    // X names the first user's account and ends that grant when the second arrives; then both store
    // a connection.
    world.sandbox.control.inject({ kind: 'delayAfter', milliseconds: 5 + 4 * round, match: { path: '/2/users/me' } })
    const first = people[0]?.finish(callbacks[0] ?? '')
    await expect.poll(countMe, { interval: 1, timeout: 15_000 }).toBe(before + 1)
    const arrivals = await Promise.all([first, people[1]?.finish(callbacks[1] ?? '')])
    world.sandbox.control.clearFaults()
    expect(arrivals.map((arrival) => arrival?.outcome).toSorted()).toEqual(['connected', 'failed'])
    const [winner, loser] = arrivals[0]?.outcome === 'connected' ? [0, 1] : [1, 0]
    winners.push(winner)
    expect(arrivals[loser]?.code).toBe('ACCOUNT_CONNECTED_TO_ANOTHER_USER')
    const rows = await rowsOf(username)
    // The second user's approval ends the first one's tokens, even if the first one gets the
    // account.
    expect(rows).toMatchObject([{ status: winner === 1 ? 'ACTIVE' : 'NEEDS_REAUTH' }])
    expect(
      await world
        .db()
        .select()
        .from(oauthTokens)
        .where(eq(oauthTokens.accountId, rows[0]?.id ?? '')),
    ).toHaveLength(1)
    const outcomes = await Promise.all(
      [winner, loser].map((index) =>
        people[index]?.api('connect-attempt', { connectAttemptId: arrivals[index]?.attempt }),
      ),
    )
    expect(outcomes).toMatchObject([
      { connectAttempt: { status: 'SUCCEEDED', account: { username } } },
      { connectAttempt: { status: 'FAILED', error: { code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' }, account: null } },
    ])
  }
  await revocationsDone()
  for (const [round, winner] of winners.entries()) {
    // X itself has ended the earlier grant. The later one lives if it is the winner's, and is
    // revoked otherwise.
    expect(world.sandbox.control.grants(`raced_${round}`).map(({ ended }) => ended)).toEqual([
      'superseded',
      winner === 1 ? null : 'revoked-by-app',
    ])
  }
})

describe('two sessions of one user that connect one X account at once', () => {
  const countMe = () => world.sandbox.control.countReceived({ path: '/2/users/me' })

  /**
   * The first has exchanged its code, and X takes long to name its account; then the second begins.
   */
  async function connectTwice(username: string, milliseconds: [first: number, second: number]) {
    world.sandbox.control.addAccount(username)
    const sessions = [await world.signedIn('yuki-ito'), await world.signedIn('yuki-ito')]
    const [first, second] = await Promise.all(sessions.map((session) => approved(session, username)))
    const reads = countMe()
    for (const [after, wait] of milliseconds.entries())
      world.sandbox.control.inject({ kind: 'delayAfter', milliseconds: wait, after, match: { path: '/2/users/me' } })
    const finishing = sessions[0]?.finish(first ?? '')
    await expect.poll(countMe, { interval: 1, timeout: 15_000 }).toBe(reads + 1)
    const arrivals = await Promise.all([finishing, sessions[1]?.finish(second ?? '')])
    expect(arrivals.map((arrival) => arrival?.outcome)).toEqual(['connected', 'connected'])
    world.sandbox.control.clearFaults()
    const [account] = await rowsOf(username)
    const accountId = account?.id ?? ''
    const [tokens] = await world.db().select().from(oauthTokens).where(eq(oauthTokens.accountId, accountId))
    const place = tokenSealContext({ accountId, userId: account?.userId ?? '' }, 'refreshTokenSealed')
    const [older, newer] = world.sandbox.control.grants(username)
    expect([older?.ended, newer?.live]).toEqual(['superseded', true])
    return {
      person: sessions[0],
      accountId,
      stored: unseal(world.config.encryptionKeys, place, tokens?.refreshTokenSealed ?? ''),
      newer: newer?.refreshToken,
      reads: countMe() - reads,
    }
  }

  test.each([
    ['last', 'older_last', [2_000, 0]],
    ['first', 'older_first', [300, 2_000]],
  ] as const)('keep the pair that X holds, though the older one is stored %s', async (_, username, milliseconds) => {
    const { stored, newer, reads } = await connectTwice(username, [...milliseconds])
    expect(stored).toBe(newer)
    // The second one asks X once more.
    expect(reads).toBe(3)
  })

  test('recover without help if X could not name the account', async () => {
    world.sandbox.control.inject({
      kind: 'problem',
      name: 'service-unavailable',
      after: 2,
      match: { path: '/2/users/me' },
    })
    const { person, accountId, stored, newer } = await connectTwice('undecided', [300, 2_000])
    expect(stored).not.toBe(newer)
    const post = (text: string) =>
      person?.api('post-tweet', { input: { text, accountId } }).then((response) => response as { postTweet: object })
    expect((await post('Refused'))?.postTweet).toMatchObject({ userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH' }] })
    await sweepNow(world)
    expect(await rowsOf('undecided')).toMatchObject([{ status: 'ACTIVE', statusReason: null }])
    expect((await post('Posted'))?.postTweet).toMatchObject({ tweet: { status: 'POSTED' } })
  })
})

test('two sessions of one user that connect one X account at once make one connection', async () => {
  world.sandbox.control.addAccount('doubled')
  const sessions = [await world.signedIn('yuki-ito'), await world.signedIn('yuki-ito')]
  const callbacks = await Promise.all(sessions.map((session) => approved(session, 'doubled')))
  const arrivals = await Promise.all(sessions.map((session, index) => session.finish(callbacks[index] ?? '')))
  // The second exchange ends the first grant: if that happens before users/me, the first one fails.
  for (const { outcome, code } of arrivals)
    expect([outcome, code]).toEqual(outcome === 'connected' ? ['connected', null] : ['failed', 'X_UNAVAILABLE'])
  expect(arrivals.some(({ outcome }) => outcome === 'connected')).toBe(true)
  expect(await rowsOf('doubled')).toHaveLength(1)
})

test('a stranger’s callback with the state during the exchange changes nothing', async () => {
  world.sandbox.control.addAccount('slow_one')
  const owner = await world.signedIn('yuki-ito')
  const callback = await approved(owner, 'slow_one')
  const before = world.sandbox.control.countTokenCalls()
  world.sandbox.control.inject({ kind: 'delay', milliseconds: 1_000, match: { path: '/2/oauth2/token' } })
  const finishing = owner.finish(callback)
  await expect.poll(() => world.sandbox.control.countTokenCalls(), { timeout: 15_000 }).toBe(before + 1)
  const stranger = await world.signedIn('tomasz-k')
  expect(await stranger.finish(callback)).toMatchObject({ outcome: 'failed', code: 'SESSION_MISMATCH' })
  expect(await owner.finish(callback)).toMatchObject({ outcome: 'connected', code: null })
  const arrival = await finishing
  expect(arrival).toMatchObject({ outcome: 'connected' })
  expect(await owner.api('connect-attempt', { connectAttemptId: arrival.attempt })).toMatchObject({
    connectAttempt: { status: 'SUCCEEDED', error: null, account: { username: 'slow_one' } },
  })
})

test('a sign-out and a callback at once end with a connection or with SESSION_MISSING', async () => {
  for (let round = 0; round < 5; round++) {
    const username = `leaving_${round}`
    world.sandbox.control.addAccount(username)
    const person = await world.signedIn('yuki-ito')
    const callback = await approved(person, username)
    const { cookie } = cookieOf(person)
    const [response] = await Promise.all([
      person.request(callback, { headers: { cookie } }),
      person.request('/auth/sign-out', { method: 'POST', headers: { cookie } }),
    ])
    const outcome = new URL(response.headers.get('location') ?? '').searchParams
    const linked = outcome.get('xConnect') === 'connected'
    if (!linked) expect(outcome.get('code')).toBe('SESSION_MISSING')
    expect(await rowsOf(username)).toHaveLength(linked ? 1 : 0)
  }
})

test('no verifier outlives its attempt', async () => {
  const open = and(ne(connectAttempts.status, 'PENDING'), ne(connectAttempts.verifierSealed, ''))
  expect(await world.db().select().from(connectAttempts).where(open)).toEqual([])
})
