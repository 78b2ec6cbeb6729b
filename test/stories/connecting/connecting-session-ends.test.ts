// The session that started a connection ends while X is asked.
import { and, eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import {
  connectAttempts,
  connectedAccounts,
  events,
  oauthTokens,
  orphanedTokens,
  sessions,
} from '../../../src/db/tables.ts'
import { type Browser, sessionTokenOf } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { atMe, waitingAttempts } from '../../support/waiting-attempt.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

const { attemptOf, untilSettled } = waitingAttempts(() => world)
const rowsOf = (username: string) =>
  world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
const grantsOf = (username: string) => world.sandbox.control.grants(username).map(({ ended }) => ended)

async function revokeOthers(person: Browser): Promise<void> {
  const elsewhere = await world.signedIn('yuki-ito')
  expect(await elsewhere.api('revoke-other-sessions')).toMatchObject({ revokeOtherSessions: { userErrors: [] } })
  expect(person.cookies.size).toBeGreaterThan(0)
}

const ends: [how: string, end: (person: Browser) => Promise<unknown>][] = [
  ['a sign-out', (person) => person.api('sign-out')],
  ['a revocation from another browser', revokeOthers],
  ['another sign-in in the same browser', (person) => person.signIn('yuki-ito')],
  [
    'its expiry',
    (person) =>
      world
        .db()
        .update(sessions)
        .set({ expiresAt: new Date(0) })
        .where(eq(sessions.id, sha256(sessionTokenOf(person)))),
  ],
]

describe.each(['/2/oauth2/token', '/2/users/me'])('L-10 while X is asked at %s,', (path) => {
  test.each(ends)('%s ends the connection in flight, and its grant is given back', async (how, end) => {
    const username = `leaving_${ends.findIndex(([name]) => name === how)}${path.length}`
    world.sandbox.control.addAccount(username)
    const person = await world.signedIn('yuki-ito')
    const { authorizationUrl, connectAttempt } = await person.startXConnect()
    const callback = await person.consent(authorizationUrl ?? '', username)
    const asked = () => world.sandbox.control.countReceived({ path })
    const before = asked()
    world.sandbox.control.inject({ kind: 'delay', milliseconds: 1_500, match: { path } })
    const finishing = person.finish(callback)
    await expect.poll(asked, { interval: 5, timeout: 15_000 }).toBe(before + 1)
    await end(person)
    expect(await finishing).toMatchObject({ outcome: 'failed', code: 'SESSION_MISSING' })
    const again = await world.signedIn('yuki-ito')
    expect(await attemptOf(again, connectAttempt?.id ?? null)).toMatchObject({
      status: 'FAILED',
      error: { code: 'SESSION_MISSING' },
    })
    expect(await rowsOf(username)).toEqual([])
    await expect.poll(() => grantsOf(username), { timeout: 20_000 }).toEqual(['revoked-by-app'])
  })
})

test('L-10 an account that was connected before is told that the approval has ended its tokens', async () => {
  const account = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
  const { authorizationUrl } = await account.person.startXConnect({ reconnectAccountId: account.id })
  const callback = await account.person.consent(authorizationUrl ?? '', account.username)
  const asked = () => world.sandbox.control.countReceived({ path: '/2/users/me' })
  const before = asked()
  world.sandbox.control.inject({ kind: 'delay', milliseconds: 1_500, match: { path: '/2/users/me' } })
  const finishing = account.person.finish(callback)
  await expect.poll(asked, { interval: 5, timeout: 15_000 }).toBe(before + 1)
  await account.person.api('sign-out')
  expect(await finishing).toMatchObject({ outcome: 'failed', code: 'SESSION_MISSING' })
  const ended = [{ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' }]
  await expect.poll(() => rowsOf(account.username), { timeout: 20_000 }).toMatchObject(ended)
  expect(await world.db().$count(orphanedTokens)).toBe(0)
  const reconnected = and(eq(events.accountId, account.id), eq(events.type, 'account.reconnected'))
  expect(await world.db().$count(events, reconnected)).toBe(0)
})

test('L-10 a connection that waits for X ends with the revocation of its session', async () => {
  world.sandbox.control.addAccount('waits')
  const person = await world.signedIn('yuki-ito')
  const { authorizationUrl } = await person.startXConnect()
  const callback = await person.consent(authorizationUrl ?? '', 'waits')
  world.sandbox.control.inject(atMe({ kind: 'problem', name: 'service-unavailable' }))
  const { outcome, attempt } = await person.finish(callback)
  expect(outcome).toBe('waiting')
  const elsewhere = await world.signedIn('yuki-ito')
  await elsewhere.api('revoke-other-sessions')
  world.sandbox.control.clearFaults()
  expect(await untilSettled(elsewhere, attempt)).toMatchObject({ status: 'FAILED', error: { code: 'SESSION_MISSING' } })
  expect(await rowsOf('waits')).toEqual([])
  await expect.poll(() => grantsOf('waits'), { timeout: 20_000 }).toEqual(['revoked-by-app'])
  const [row] = await world
    .db()
    .select()
    .from(connectAttempts)
    .where(eq(connectAttempts.id, attempt ?? ''))
  expect(row?.tokensSealed).toBeNull()
  expect(await world.db().$count(oauthTokens)).toBe(1)
})
