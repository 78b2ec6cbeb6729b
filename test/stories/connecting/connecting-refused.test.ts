import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectedAccounts, grantRevocations } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

let lastNumber = 0
function newAccount(): string {
  lastNumber += 1
  const username = `refused_${lastNumber}`
  world.sandbox.control.addAccount(username)
  return username
}

const countCalls = () =>
  world.sandbox.control.countReceived({ path: '/2/.*' }) +
  world.sandbox.control.countReceived({ path: '/login/oauth/access_token' })
const rowsOf = (username: string) =>
  world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
const attemptOf = async (owner: Browser, id: string) =>
  (
    await owner.api<{ connectAttempt: { status: string; error: { code: string } | null; account: unknown } }>(
      'connect-attempt',
      { connectAttemptId: id },
    )
  ).connectAttempt

/** An attempt that `owner` started and someone approved at X, up to the callback URL. */
async function approved(owner: Browser, username = newAccount(), input?: Record<string, unknown>) {
  const { authorizationUrl, connectAttempt: attempt } = await owner.startXConnect(input)
  const callback = new URL(await owner.consent(authorizationUrl ?? '', username))
  return { username, callback, attempt: attempt?.id ?? '' }
}

/**
 * Visits a callback and expects this failure, no request to X or GitHub, and no connected account.
 */
async function expectRefusal(visitor: Browser, callback: URL | string, code: string, username: string): Promise<void> {
  const calls = countCalls()
  const arrival = await visitor.finish(String(callback))
  expect(arrival).toMatchObject({ outcome: 'failed', code })
  expect(countCalls()).toBe(calls)
  expect(await rowsOf(username)).toEqual([])
}

describe('O-02 O-06 O-07 refuses a callback without asking X when it arrives', () => {
  test('L-01 in a browser without a session; the attempt then ends', async () => {
    const owner = await world.signedIn()
    const { username, callback, attempt } = await approved(owner)
    await expectRefusal(world.browser(), callback, 'SESSION_MISSING', username)
    expect(await attemptOf(owner, attempt)).toMatchObject({ status: 'FAILED', error: { code: 'SESSION_MISSING' } })
    await expectRefusal(owner, callback, 'ATTEMPT_ALREADY_USED', username)
  })

  // The attack: an attacker starts, and makes the victim finish. Then the attacker could post as
  // the victim.
  test('L-01 in another user’s session, whichever of the two approved at X', async () => {
    const [attacker, victim] = [await world.signedIn('tomasz-k'), await world.signedIn()]
    const { username, callback, attempt } = await approved(attacker)
    const calls = countCalls()
    const arrival = await victim.request(callback.href)
    expect(countCalls()).toBe(calls)
    // The victim learns nothing of the attempt, and is redirected to the gateway's own page.
    expect(arrival.headers.get('location')).toBe(`${world.url}/?xConnect=failed&code=SESSION_MISMATCH`)
    await expectRefusal(attacker, callback, 'ATTEMPT_ALREADY_USED', username)
    expect(await attemptOf(attacker, attempt)).toMatchObject({
      status: 'FAILED',
      error: { code: 'SESSION_MISMATCH' },
      account: null,
    })
    for (const person of [attacker, victim])
      expect(await person.api('connected-accounts')).toEqual({ connectedAccounts: [] })
    expect(world.sandbox.control.grants(username)).toEqual([])
  })

  test('L-01 in another session of the same user', async () => {
    const [owner, elsewhere] = [await world.signedIn(), await world.signedIn()]
    const { username, callback } = await approved(owner)
    await expectRefusal(elsewhere, callback, 'SESSION_MISMATCH', username)
  })

  test('L-01 in the same browser after another sign-in', async () => {
    const owner = await world.signedIn()
    const { username, callback } = await approved(owner)
    await owner.signIn('mara-holt')
    await expectRefusal(owner, callback, 'SESSION_MISMATCH', username)
  })

  test('L-01 in the same browser after a sign-out', async () => {
    const owner = await world.signedIn()
    const { username, callback } = await approved(owner)
    await owner.api('sign-out')
    await expectRefusal(owner, callback, 'SESSION_MISSING', username)
  })

  test('with another user’s code in one’s own attempt: PKCE refuses it', async () => {
    const [attacker, victim] = [await world.signedIn('tomasz-k'), await world.signedIn()]
    const stolen = await approved(victim)
    const own = await approved(attacker)
    own.callback.searchParams.set('code', stolen.callback.searchParams.get('code') ?? '')
    expect(await attacker.finish(own.callback.href)).toMatchObject({ outcome: 'failed', code: 'CODE_REJECTED' })
    expect([...(await rowsOf(stolen.username)), ...(await rowsOf(own.username))]).toEqual([])
  })

  test('eleven minutes later; the attempt then says EXPIRED', async () => {
    const owner = await world.signedIn()
    const { username, callback, attempt } = await approved(owner)
    expect(await attemptOf(owner, attempt)).toMatchObject({ status: 'PENDING' })
    world.advance(660)
    await expectRefusal(owner, callback, 'ATTEMPT_EXPIRED', username)
    expect(await attemptOf(owner, attempt)).toMatchObject({ status: 'EXPIRED', error: null })
  })

  test('a second time', async () => {
    const owner = await world.signedIn()
    const { username, callback, attempt } = await approved(owner)
    expect(await owner.finish(callback.href)).toMatchObject({ outcome: 'connected' })
    const calls = countCalls()
    expect(await owner.finish(callback.href)).toMatchObject({ outcome: 'connected', code: null, attempt })
    // A stranger's later visit does not change the attempt's error either.
    expect(await world.browser().finish(callback.href)).toMatchObject({ code: 'SESSION_MISSING', attempt: null })
    expect(countCalls()).toBe(calls)
    expect(await attemptOf(owner, attempt)).toMatchObject({ status: 'SUCCEEDED', error: null, account: { username } })
  })

  test.each<[string, (url: URL) => void, string]>([
    ['no state', (url) => url.searchParams.delete('state'), 'ATTEMPT_UNKNOWN'],
    ['an empty state', (url) => url.searchParams.set('state', ''), 'ATTEMPT_UNKNOWN'],
    ['a state that nobody gave out', (url) => url.searchParams.set('state', 'A'.repeat(43)), 'ATTEMPT_UNKNOWN'],
    [
      'one character of the state changed',
      (url) => url.searchParams.set('state', flipped(url.searchParams.get('state') ?? '')),
      'ATTEMPT_UNKNOWN',
    ],
    [
      'the state in other letters',
      (url) => url.searchParams.set('state', (url.searchParams.get('state') ?? '').toUpperCase()),
      'ATTEMPT_UNKNOWN',
    ],
    [
      'the state twice',
      (url) => url.searchParams.append('state', url.searchParams.get('state') ?? ''),
      'CALLBACK_INVALID',
    ],
    ['two codes', (url) => url.searchParams.append('code', 'b'), 'CALLBACK_INVALID'],
    ['two errors', (url) => (url.search += '&error=a&error=b'), 'CALLBACK_INVALID'],
    ['neither code nor error', (url) => url.searchParams.delete('code'), 'CALLBACK_INVALID'],
    ['an empty code', (url) => url.searchParams.set('code', ''), 'CALLBACK_INVALID'],
    ['a code and a denial', (url) => url.searchParams.set('error', 'access_denied'), 'ACCESS_DENIED'],
    ['an error that X has never had', (url) => url.searchParams.set('error', '<script>'), 'CALLBACK_INVALID'],
  ])('with %s', async (_what, change, code) => {
    const owner = await world.signedIn()
    const { username, callback } = await approved(owner)
    change(callback)
    await expectRefusal(owner, callback, code, username)
  })

  test('from X with a denial, which is final', async () => {
    const owner = await world.signedIn()
    const username = newAccount()
    const { authorizationUrl, connectAttempt: attempt } = await owner.startXConnect()
    const denied = await owner.consent(authorizationUrl ?? '', username, 'deny')
    await expectRefusal(owner, denied, 'ACCESS_DENIED', username)
    expect(await attemptOf(owner, attempt?.id ?? '')).toMatchObject({
      status: 'FAILED',
      error: { code: 'ACCESS_DENIED' },
    })
    await expectRefusal(owner, denied.replace('error=access_denied', 'code=x'), 'ACCESS_DENIED', username)
  })
})

test('O-04 refuses the state of a sign-in at X’s callback and that of a connect at GitHub’s; each still works at its own', async () => {
  const owner = await world.signedIn()
  const { username, callback } = await approved(owner)
  const start = await owner.request('/auth/github')
  const signInCallback = new URL(await owner.consent(start.headers.get('location') ?? '', 'mara-holt'))
  const atWrongPath = (url: URL, pathname: string) => new URL(`${pathname}${url.search}`, world.url).href
  const calls = countCalls()
  expect(await owner.finish(atWrongPath(signInCallback, '/auth/x/callback'))).toMatchObject({
    outcome: 'failed',
    code: 'ATTEMPT_UNKNOWN',
  })
  expect(await owner.finish(atWrongPath(callback, '/auth/github/callback'))).toMatchObject({
    outcome: 'failed',
    code: 'ATTEMPT_UNKNOWN',
  })
  expect(countCalls()).toBe(calls)
  expect(await rowsOf(username)).toEqual([])
  expect(await owner.finish(callback.href)).toMatchObject({ outcome: 'connected' })
  expect(await owner.finish(signInCallback.href)).toMatchObject({ outcome: 'succeeded' })
})

describe('the wrong account at X', () => {
  const refused = async (owner: Browser, username: string, input: Record<string, unknown>) => {
    const { callback, attempt } = await approved(owner, username, input)
    expect(await owner.finish(callback.href)).toMatchObject({ outcome: 'failed', code: 'WRONG_ACCOUNT' })
    expect(await attemptOf(owner, attempt)).toMatchObject({
      status: 'FAILED',
      error: { code: 'WRONG_ACCOUNT' },
      account: null,
    })
  }
  const revoked = (username: string) =>
    expect.poll(() => world.sandbox.control.grants(username).at(-1)?.ended, { timeout: 15_000 }).toBe('revoked-by-app')

  test('is refused by its expected name, and its grant is revoked', async () => {
    const owner = await world.signedIn()
    const [wanted, other] = [newAccount(), newAccount()]
    await refused(owner, other, { expectedUsername: wanted })
    expect(await rowsOf(other)).toEqual([])
    await revoked(other)
    await expect.poll(() => world.db().$count(grantRevocations), { timeout: 15_000 }).toBe(0)
    for (const spelling of [`@${wanted}`, wanted.toUpperCase(), ` ${wanted} `]) {
      expect(await owner.connect(wanted, { expectedUsername: spelling })).toMatchObject({ outcome: 'connected' })
    }
  })

  test('is refused in place of the account to reconnect, which stays as it was', async () => {
    const [wanted, other] = [newAccount(), newAccount()]
    const owner = await world.connected(wanted, 'yuki-ito')
    const [before] = await rowsOf(wanted)
    await refused(owner, other, { reconnectAccountId: before?.id })
    expect(await rowsOf(other)).toEqual([])
    expect(await rowsOf(wanted)).toEqual([before])
    await revoked(other)
    expect(world.sandbox.control.grants(wanted)).toMatchObject([{ live: true }])
    expect(await owner.connect(wanted, { reconnectAccountId: before?.id })).toMatchObject({ outcome: 'connected' })
  })

  // X has ended that connection's tokens: to drop the new ones would break a connection that the
  // user did not touch.
  test('keeps working if it is another connection of the same user', async () => {
    const [wanted, other] = [newAccount(), newAccount()]
    const owner = await world.connected(other, 'yuki-ito')
    const [link] = await rowsOf(other)
    await refused(owner, other, { expectedUsername: wanted })
    expect(await rowsOf(other)).toMatchObject([{ id: link?.id, status: 'ACTIVE' }])
    expect(
      await owner.api('post-tweet', { input: { text: `still here ${other}`, accountId: link?.id } }),
    ).toMatchObject({
      postTweet: { tweet: { status: 'POSTED' } },
    })
    expect(await world.db().$count(grantRevocations)).toBe(0)
  })

  test('is revoked if it was another connection of the same user and is disconnected', async () => {
    const [wanted, other] = [newAccount(), newAccount()]
    const owner = await world.connected(other, 'yuki-ito')
    const [link] = await rowsOf(other)
    await owner.api('disconnect-account', { input: { accountId: link?.id } })
    await refused(owner, other, { expectedUsername: wanted })
    expect(await rowsOf(other)).toMatchObject([{ id: link?.id, status: 'DISCONNECTED' }])
    await revoked(other)
  })
})

function flipped(text: string): string {
  return `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`
}
