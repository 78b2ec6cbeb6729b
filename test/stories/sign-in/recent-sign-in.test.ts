// Operations for which a stolen cookie is not enough: they require a recent sign-in.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RECENT_SIGN_IN_SECONDS } from '../../../src/auth/session.ts'
import { apiTokens, sessions, users } from '../../../src/db/tables.ts'
import { type Browser, sessionTokenOf } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { isSessionOf } from '../../support/session-row.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const makeToken = async (person: Browser) => {
  const input = { name: 'bot', scopes: ['tweets:read'] }
  const { createApiToken } = await person.api('create-api-token', { input })
  return createApiToken
}

const leave = async (person: Browser, login: string) => {
  const { deleteViewer } = await person.api('delete-viewer', { input: { login } })
  return deleteViewer
}

const REFUSED = {
  userErrors: [{ code: 'RECENT_SIGN_IN_REQUIRED', retryable: false, message: expect.stringContaining('/auth/github') }],
}

test('S-10 an API token can be created within ten minutes of a sign-in, and after signing in again', async () => {
  const person = await world.signedIn()
  world.advance(RECENT_SIGN_IN_SECONDS - 30)
  expect(await makeToken(person)).toMatchObject({ secret: expect.any(String), userErrors: [] })
  world.advance(31)
  const before = await world.db().$count(apiTokens)
  expect(await makeToken(person)).toMatchObject({ secret: null, ...REFUSED })
  expect(await world.db().$count(apiTokens)).toBe(before)

  const stolen = world.browser()
  stolen.cookies.set('xconnect_session', sessionTokenOf(person))
  await person.signIn('mara-holt')
  expect(await makeToken(person)).toMatchObject({ secret: expect.any(String) })
  // The new sign-in does not renew the old session: it has ended.
  await expect(makeToken(stolen)).rejects.toThrow('Sign in first')
})

test('S-10 use of a session does not make its sign-in recent', async () => {
  const person = await world.signedIn()
  const hoursAgo = (hours: number) => new Date(world.clock.now().getTime() - hours * 3_600_000)
  await world
    .db()
    .update(sessions)
    .set({ createdAt: hoursAgo(2), lastUsedAt: hoursAgo(2) })
    .where(isSessionOf(person))
  expect(await makeToken(person)).toMatchObject(REFUSED)
  const [row] = await world.db().select().from(sessions).where(isSessionOf(person))
  expect(row?.lastUsedAt.getTime()).toBeGreaterThan(hoursAgo(1).getTime())
  expect(await makeToken(person)).toMatchObject(REFUSED)
})

test('S-10 the account can be deleted within ten minutes of a sign-in, and not later', async () => {
  const person = await world.signedIn('yuki-ito')
  world.advance(RECENT_SIGN_IN_SECONDS + 1)
  expect(await leave(person, 'yuki-ito')).toMatchObject({ deletedUserId: null, ...REFUSED })
  expect(await world.db().select().from(users).where(eq(users.login, 'yuki-ito'))).toHaveLength(1)
  await person.signIn('yuki-ito')
  expect(await leave(person, 'yuki-ito')).toMatchObject({ deletedUserId: expect.any(String), userErrors: [] })
})

test('S-10 an old session may do everything else: connect, post, revoke', async () => {
  const person = await world.signedIn('tomasz-k')
  await makeToken(person)
  world.advance(86_400)
  expect(await person.connect('harbourbakery')).toMatchObject({ outcome: 'connected' })
  const { postTweet } = await person.api('post-tweet', { input: { text: 'A day later' } })
  expect(postTweet).toMatchObject({ tweet: { status: 'POSTED' } })
  const { apiTokens: tokens } = await person.api('api-tokens')
  expect(await person.api('revoke-api-token', { input: { apiTokenId: tokens[0]?.id } })).toMatchObject({
    revokeApiToken: { apiToken: { status: 'REVOKED' }, userErrors: [] },
  })
  expect(await person.api('revoke-other-sessions')).toMatchObject({ revokeOtherSessions: {} })
})
