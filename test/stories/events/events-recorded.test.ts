// Each change records one event, in the transaction of the change.
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { events, sessions, tweets } from '../../../src/db/tables.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  postFault,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
} from '../../support/connected-account.ts'
import { newPerson, readEvents, readStory } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'
import { record } from '../../support/recorded-events.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

async function newAccount(scopes?: string[]): Promise<ConnectedAccount> {
  const person = await newPerson(world)
  return connectAccount(world, { person, ...(scopes && { scopes }) })
}

describe('an account', () => {
  test('records its connection with user and time, readable by that user only', async () => {
    const before = momentIn(world, -60)
    const account = await newAccount()
    const [signedIn, connected, ...more] = await readEvents(account.person)
    expect(more).toEqual([])
    expect(signedIn).toMatchObject({ type: 'SESSION_STARTED', userId: account.userId, accountId: null, reason: null })
    expect(connected).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      type: 'ACCOUNT_CONNECTED',
      reason: null,
      occurredAt: expect.any(String),
      userId: account.userId,
      accountId: account.id,
      tweetId: null,
      apiTokenId: null,
      webhookEndpointId: null,
    })
    expect(new Date(connected?.occurredAt ?? 0).getTime()).toBeGreaterThan(before.getTime())
    expect(await readStory(await newPerson(world))).toEqual([])
  })

  test('records a missing scope', async () => {
    const account = await newAccount(['tweet.read', 'users.read', 'tweet.write'])
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED SCOPES_NOT_GRANTED'])
  })

  test('records a reconnection, and a new name at X as an event of its own', async () => {
    const account = await newAccount()
    await account.person.connect(account.username)
    world.sandbox.control.setAccount(account.username, { name: 'Somebody Else' })
    await account.person.connect(account.username)
    world.sandbox.control.renameAccount(account.username, `${account.username}_new`)
    await account.person.connect(`${account.username}_new`)
    expect(await readStory(account.person)).toEqual([
      'ACCOUNT_CONNECTED',
      'ACCOUNT_RECONNECTED',
      'ACCOUNT_RECONNECTED',
      'ACCOUNT_PROFILE_CHANGED DISPLAY_NAME_CHANGED',
      'ACCOUNT_RECONNECTED',
      'ACCOUNT_PROFILE_CHANGED USERNAME_CHANGED',
    ])
  })

  test('records one disconnection for eleven calls, ten of them concurrent, and then a connection', async () => {
    const account = await newAccount()
    await Promise.all(Array.from({ length: 10 }, () => account.disconnect()))
    await account.disconnect()
    await account.person.connect(account.username)
    expect(await readStory(account.person)).toEqual([
      'ACCOUNT_CONNECTED',
      'ACCOUNT_DISCONNECTED DISCONNECTED_BY_USER',
      'ACCOUNT_CONNECTED',
    ])
  })

  test('records NEEDS_REAUTH once for ten concurrent posts, and its recovery after a reconnection', async () => {
    const account = await newAccount()
    world.sandbox.control.revokeGrant(account.username)
    world.advance(UNTIL_ENDED_SECONDS)
    await Promise.all(Array.from({ length: 10 }, () => account.post()))
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH' })
    await account.person.connect(account.username)
    const story = await readStory(account.person)
    expect(story.filter((what) => !what.startsWith('TWEET_'))).toEqual([
      'ACCOUNT_CONNECTED',
      'ACCOUNT_NEEDS_REAUTH GRANT_REVOKED',
      'ACCOUNT_RECOVERED',
    ])
  })

  test('records NEEDS_REAUTH once when it ends without a refresh token, for twenty callers at two instances', async () => {
    const account = await newAccount(['tweet.read', 'tweet.write', 'users.read'])
    world.advance(UNTIL_ENDED_SECONDS)
    const instance = openInstance(world)
    const input = { text: 'Too late', accountId: account.id }
    const post = (number: number) =>
      number % 2 === 0 ? account.post() : instance.ask(readOperation('post-tweet'), cookieOf(account.person), { input })
    await Promise.all(Array.from({ length: 20 }, (_, number) => post(number)))
    await instance.close()
    const story = await readStory(account.person)
    expect(story.filter((what) => !what.startsWith('TWEET_'))).toEqual([
      'ACCOUNT_CONNECTED SCOPES_NOT_GRANTED',
      'ACCOUNT_NEEDS_REAUTH REFRESH_TOKEN_MISSING',
    ])
  })

  test('records nothing when its token is refreshed', async () => {
    const account = await newAccount()
    world.advance(UNTIL_DUE_SECONDS)
    await account.post()
    expect(await account.tokens()).toMatchObject({ version: 2 })
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED', 'TWEET_POSTED'])
  })

  test('stays connected if the event cannot be recorded', async () => {
    const account = await newAccount()
    await world
      .db()
      .execute(
        sql`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = '23514'; end $$`,
      )
    await world
      .db()
      .execute(
        sql`create trigger refuse before insert on events for each row when (new.type = 'account.disconnected') execute function refuse()`,
      )
    try {
      await expect(account.disconnect()).rejects.toThrow('INTERNAL')
    } finally {
      await world.db().execute(sql`drop function refuse cascade`)
    }
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(await account.tokens()).not.toBeNull()
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED'])
  })
})

describe('a tweet', () => {
  test('records one event for repeated and concurrent calls with one idempotency key', async () => {
    const account = await newAccount()
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => account.post('Once', { idempotencyKey: 'one key' })),
    )
    await account.post('Once', { idempotencyKey: 'one key' })
    const posted = await readEvents(account.person, { types: ['TWEET_POSTED'] })
    expect(posted).toMatchObject([
      { userId: account.userId, accountId: account.id, tweetId: responses[0]?.tweet?.id, reason: null },
    ])
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED', 'TWEET_POSTED'])
  })

  test('records a failure with its reason for each refusal by X', async () => {
    const account = await newAccount()
    const limited = postFault({ kind: 'problem', name: 'too-many-requests', headers: { 'x-rate-limit-reset': '1' } })
    world.sandbox.control.inject(limited)
    await account.post('Twice', { idempotencyKey: 'key' })
    world.advance(120)
    expect((await account.post('Twice', { idempotencyKey: 'key' })).tweet).toMatchObject({ status: 'POSTED' })
    expect(await readStory(account.person)).toEqual([
      'ACCOUNT_CONNECTED',
      'TWEET_FAILED X_RATE_LIMITED',
      'TWEET_POSTED',
    ])
  })

  test.each([
    ['arrived', 'dropAfter', 'POSTED'],
    ['never arrived', 'dropBefore', 'NOT_POSTED'],
  ] as const)('of which X did not tell, and which %s, is unknown and then settled', async (_, kind, reason) => {
    const account = await newAccount()
    world.sandbox.control.inject(postFault({ kind }))
    const { tweet } = await account.post()
    await expect.poll(() => readStory(account.person), { timeout: 30_000 }).toHaveLength(3)
    expect(await readStory(account.person)).toEqual([
      'ACCOUNT_CONNECTED',
      'TWEET_UNKNOWN OUTCOME_UNKNOWN',
      `TWEET_RECONCILED ${reason}`,
    ])
    expect(await readEvents(account.person, { types: ['TWEET_RECONCILED'] })).toMatchObject([
      { tweetId: tweet?.id, accountId: account.id, userId: account.userId },
    ])
  })

  test('of a killed process is recorded once, by the sweep', async () => {
    const account = await newAccount()
    const { tweet } = await account.post()
    await world
      .db()
      .insert(tweets)
      .values({
        userId: account.userId,
        accountId: account.id,
        text: 'Never sent',
        status: 'PENDING',
        claimedUntil: momentIn(world, -3600),
        createdAt: momentIn(world, -3660),
      })
    await sweepNow(world)
    await sweepNow(world)
    expect(tweet).toMatchObject({ status: 'POSTED' })
    expect(await readStory(account.person)).toEqual([
      'ACCOUNT_CONNECTED',
      'TWEET_POSTED',
      'TWEET_FAILED POST_INTERRUPTED',
    ])
  })

  test('records one deletion for ten concurrent calls', async () => {
    const account = await newAccount()
    const { tweet } = await account.post()
    const input = { tweetId: tweet?.id }
    await Promise.all(Array.from({ length: 10 }, () => account.person.api('delete-tweet', { input })))
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED', 'TWEET_POSTED', 'TWEET_DELETED'])
  })

  test('records nothing when it is refused before it is stored', async () => {
    const account = await newAccount()
    await account.post('')
    expect(await readStory(account.person)).toEqual(['ACCOUNT_CONNECTED'])
  })
})

describe('a session', () => {
  const types = ['SESSION_STARTED', 'SESSION_ENDED']
  const sessionStory = async (person: Browser) => {
    const found = await readEvents(person, { types })
    return found.map(({ type, reason }) => (reason === null ? type : `${type} ${reason}`))
  }
  /** Of the same person, a browser that looks on. */
  const onlooker = async () => {
    const login = `onlooker-${crypto.randomUUID().slice(0, 8)}`
    world.sandbox.control.addGithubPerson(login)
    return { login, looking: await world.signedIn(login) }
  }

  test('starts with a sign-in and ends by signing out, once', async () => {
    const { login, looking } = await onlooker()
    const person = await world.signedIn(login)
    const token = person.cookies.get('xconnect_session') ?? ''
    await person.api('sign-out')
    person.cookies.set('xconnect_session', token)
    await person.request('/auth/sign-out', { method: 'POST' })
    expect(await sessionStory(looking)).toEqual(['SESSION_STARTED', 'SESSION_STARTED', 'SESSION_ENDED SIGNED_OUT'])
  })

  test('is replaced by a sign-in in the same browser', async () => {
    const { login, looking } = await onlooker()
    const person = await world.signedIn(login)
    await person.signIn(login)
    expect(await sessionStory(looking)).toEqual([
      'SESSION_STARTED',
      'SESSION_STARTED',
      'SESSION_ENDED REPLACED',
      'SESSION_STARTED',
    ])
  })

  test('records one expiry, whether its use or the sweep finds it', async () => {
    const { login, looking } = await onlooker()
    const people = [await world.signedIn(login), await world.signedIn(login), await world.signedIn(login)]
    const [used, left, old] = people.map((person) => sha256(person.cookies.get('xconnect_session') ?? ''))
    const past = new Date(Date.now() - 1000)
    for (const id of [used, left])
      await world
        .db()
        .update(sessions)
        .set({ expiresAt: past })
        .where(eq(sessions.id, id ?? ''))
    await world
      .db()
      .update(sessions)
      .set({ createdAt: new Date(Date.now() - 91 * 86_400_000) })
      .where(eq(sessions.id, old ?? ''))
    await Promise.all([people[0], people[0], people[2], people[2]].map((person) => person?.api('viewer')))
    await sweepNow(world)
    await sweepNow(world)
    expect(await sessionStory(looking)).toEqual([
      ...Array(4).fill('SESSION_STARTED'),
      ...Array(3).fill('SESSION_ENDED EXPIRED'),
    ])
  })
})

test('no event contains a text from outside', async () => {
  const [row] = await world.db().select().from(events).limit(1)
  const seeding = record(world, { userId: row?.userId ?? '', type: 'tweet.failed', reason: 'X said: no' })
  await expect(seeding).rejects.toMatchObject({ cause: { message: expect.stringContaining('events_reason') } })
})
