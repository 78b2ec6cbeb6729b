import { and, eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectedAccounts, oauthTokens } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { whileAttemptIsHeld } from '../../support/held-attempt.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

type Account = { id: string; username: string; status: string; connectedAt: string }
const accountsOf = async (person: Browser) =>
  (await person.api<{ connectedAccounts: Account[] }>('connected-accounts')).connectedAccounts
const countTokenCalls = () => world.sandbox.control.countTokenCalls('authorization_code')

/** A new X account, so that stories do not meet. */
let lastNumber = 0
function newAccount(): string {
  lastNumber += 1
  const username = `linked_${lastNumber}`
  world.sandbox.control.addAccount(username)
  return username
}

const rowsOf = (username: string) =>
  world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
const tokensOf = (accountId: string) =>
  world.db().query.oauthTokens.findFirst({ where: (table, { eq }) => eq(table.accountId, accountId) })

async function authorizeUrl(person: Browser, input?: Record<string, unknown>) {
  const { authorizationUrl, connectAttempt: attempt, userErrors } = await person.startXConnect(input)
  expect(userErrors).toEqual([])
  return {
    url: authorizationUrl ?? '',
    attempt: attempt?.id ?? '',
    asked: new URL(authorizationUrl ?? '').searchParams,
  }
}

describe('a connection', () => {
  test('can be one of several: all are listed, the last connected first', async () => {
    const person = await world.signedIn('yuki-ito')
    const names = [newAccount(), newAccount(), newAccount()]
    for (const name of names) await person.connect(name)
    expect((await accountsOf(person)).map(({ username }) => username)).toEqual(names.toReversed())
  })

  test('L-05 keeps its id when made again, has new tokens, and comes first', async () => {
    const username = newAccount()
    const person = await world.connected(username, 'yuki-ito')
    const [first] = await accountsOf(person)
    await person.connect(newAccount())
    const before = await tokensOf(first?.id ?? '')
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    const [again] = await accountsOf(person)
    expect(again).toMatchObject({ id: first?.id, username, status: 'ACTIVE' })
    const after = await tokensOf(first?.id ?? '')
    expect(after?.grantId).not.toBe(before?.grantId)
    expect(after?.accessTokenSealed).not.toBe(before?.accessTokenSealed)
    expect(after?.version).toBe((before?.version ?? 0) + 1)
    // X has ended the first grant itself; the second is valid, and no revocation of the gateway
    // ends it.
    expect(world.sandbox.control.grants(username).map(({ ended }) => ended)).toEqual(['superseded', null])
    expect(
      await person.api('post-tweet', { input: { text: `again ${username}`, accountId: again?.id } }),
    ).toMatchObject({
      postTweet: { tweet: { status: 'POSTED' } },
    })
  })

  test('is the same one when made again after it was disconnected', async () => {
    const username = newAccount()
    const person = await world.connected(username)
    const [first] = (await accountsOf(person)).filter((account) => account.username === username)
    await person.api('disconnect-account', { input: { accountId: first?.id } })
    expect(await tokensOf(first?.id ?? '')).toBeUndefined()
    await expect
      .poll(() => world.sandbox.control.grants(username)[0]?.ended, { timeout: 15_000 })
      .toBe('revoked-by-app')
    await person.connect(username, { reconnectAccountId: first?.id })
    expect(await rowsOf(username)).toMatchObject([
      { id: first?.id, status: 'ACTIVE', statusReason: null, disconnectedAt: null },
    ])
    expect(world.sandbox.control.grants(username).at(-1)?.ended).toBeNull()
  })

  test('L-02 is the same one when made again after its account was renamed at X; the account with the old name is another', async () => {
    const username = newAccount()
    const person = await world.connected(username, 'yuki-ito')
    const [first] = await accountsOf(person)
    world.sandbox.control.renameAccount(username, `${username}_new`)
    world.sandbox.control.addAccount(username)
    expect(await person.connect(`${username}_new`)).toMatchObject({ outcome: 'connected' })
    expect((await accountsOf(person))[0]).toMatchObject({ id: first?.id, username: `${username}_new` })
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    const [other, same] = await accountsOf(person)
    expect([other?.username, same?.username]).toEqual([username, `${username}_new`])
    expect([other?.id === first?.id, same?.id]).toEqual([false, first?.id])
  })

  test('passes to another user once it is disconnected', async () => {
    const username = newAccount()
    const first = await world.connected(username)
    const [account] = (await accountsOf(first)).filter((account) => account.username === username)
    await first.api('disconnect-account', { input: { accountId: account?.id } })
    const second = await world.signedIn('tomasz-k')
    expect(await second.connect(username)).toMatchObject({ outcome: 'connected' })
    expect((await rowsOf(username)).map(({ status }) => status).toSorted()).toEqual(['ACTIVE', 'DISCONNECTED'])
    // The first user's revocation, which may still be under way, does not end the second user's
    // grant.
    await expect.poll(() => world.db().query.grantRevocations.findMany(), { timeout: 15_000 }).toEqual([])
    expect(world.sandbox.control.grants(username).at(-1)?.ended).toBeNull()
  })

  test('survives a restart in the middle: no attempt is kept in memory', async () => {
    const person = await world.signedIn()
    const username = newAccount()
    const { url } = await authorizeUrl(person, { expectedUsername: username })
    const callback = await person.consent(url, username)
    await world.restart()
    expect(await person.finish(callback)).toMatchObject({ outcome: 'connected', code: null })
    expect(await rowsOf(username)).toHaveLength(1)
  })

  test('O-03 is made once by 50 identical callbacks, with one token call, and the attempt shows it', async () => {
    const person = await world.signedIn()
    const username = newAccount()
    const { url, attempt } = await authorizeUrl(person)
    const callback = await person.consent(url, username)
    const before = countTokenCalls()
    const arrivals = await whileAttemptIsHeld(world, callback, () =>
      Promise.all(Array.from({ length: 50 }, () => person.finish(callback))),
    )
    expect(arrivals.filter(({ outcome, code }) => outcome === 'connected' && code === null)).toHaveLength(50)
    expect(countTokenCalls()).toBe(before + 1)
    expect(await rowsOf(username)).toMatchObject([{ status: 'ACTIVE' }])
    expect(world.sandbox.control.grants(username)).toMatchObject([{ live: true }])
    expect(await person.api('connect-attempt', { connectAttemptId: attempt })).toMatchObject({
      connectAttempt: { status: 'SUCCEEDED', error: null, account: { username } },
    })
  })

  test('is shown by its attempt afterwards, to its owner alone', async () => {
    const [owner, stranger] = [await world.signedIn(), await world.signedIn('tomasz-k')]
    const { attempt } = await owner.connect(newAccount())
    const ask = (who: Browser) => who.api('connect-attempt', { connectAttemptId: attempt })
    expect(await ask(owner)).toMatchObject({ connectAttempt: { id: attempt, status: 'SUCCEEDED' } })
    expect(await ask(stranger)).toEqual({ connectAttempt: null })
    // In any session of the owner.
    expect(await ask(await world.signedIn())).toMatchObject({ connectAttempt: { id: attempt } })
    await expect(ask(world.browser())).rejects.toThrow('Sign in first')
  })
})

describe('O-12 scopes', () => {
  test('that the user reduced make the connection LIMITED, and the missing ones are listed', async () => {
    const username = newAccount()
    world.sandbox.control.grantScopes(username, ['tweet.read', 'users.read', 'offline.access'])
    const person = await world.connected(username)
    expect(await accountsOf(person)).toContainEqual(
      expect.objectContaining({
        username,
        status: 'LIMITED',
        statusReason: 'SCOPES_NOT_GRANTED',
        missingScopes: ['tweet.write'],
        nextAction: 'GRANT_SCOPES',
      }),
    )
    world.sandbox.control.grantScopes(username, null)
    await person.connect(username)
    expect(await rowsOf(username)).toMatchObject([{ status: 'ACTIVE', statusReason: null }])
  })

  test.each([['users.read'], ['tweet.read']])(
    'without %s refuse to connect, and the grant is revoked',
    async (missing) => {
      const username = newAccount()
      world.sandbox.control.grantScopes(
        username,
        ['tweet.read', 'users.read', 'tweet.write', 'offline.access'].filter((scope) => scope !== missing),
      )
      const person = await world.signedIn()
      expect(await person.connect(username)).toMatchObject({ outcome: 'failed', code: 'SCOPES_MISSING' })
      expect(await rowsOf(username)).toEqual([])
      await expect
        .poll(() => world.sandbox.control.grants(username)[0]?.ended, { timeout: 15_000 })
        .toBe('revoked-by-app')
    },
  )

  test('without offline.access connect until the access token expires, without a refresh token', async () => {
    const username = newAccount()
    const person = await world.signedIn()
    expect(await person.connect(username, { scopes: ['tweet.write'] })).toMatchObject({ outcome: 'connected' })
    const [row] = await rowsOf(username)
    expect(row).toMatchObject({ status: 'LIMITED' })
    expect(
      await world
        .db()
        .select()
        .from(oauthTokens)
        .where(and(eq(oauthTokens.accountId, row?.id ?? ''))),
    ).toMatchObject([{ refreshTokenSealed: null }])
  })
})
