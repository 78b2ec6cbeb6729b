// X keeps one token pair for each account and app. An approval ends the earlier pair, even if the
// connect is refused.
import { and, eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectedAccounts, events, grantRevocations } from '../../../src/db/tables.ts'
import type { Fault } from '../../../src/sandbox/control/faults.ts'
import type { Browser } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow, wakeJobs } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  // The id of the whole transaction. A row's xmin would not do: within a savepoint it is another
  // id.
  for (const statement of [
    sql`create table writers (id text, transaction text)`,
    sql`create function note_writer() returns trigger language plpgsql as $$ begin
      insert into writers values (new.id::text, pg_current_xact_id()::text);
      return null;
    end $$`,
    sql`create trigger note_refusal after update on connect_attempts for each row when (new.status = 'FAILED') execute function note_writer()`,
    sql`create trigger note_event after insert on events for each row when (new.type = 'account.needs_reauth') execute function note_writer()`,
  ])
    await world.db().execute(statement)
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

type Attempt = { status: string; error: { code: string; message: string } | null; account: object | null }
const attemptOf = async (person: Browser, id: string | null) =>
  (await person.api<{ connectAttempt: Attempt }>('connect-attempt', { connectAttemptId: id })).connectAttempt
const eventsOf = (account: ConnectedAccount) =>
  world
    .db()
    .select({ type: events.type, reason: events.reason, userId: events.userId })
    .from(events)
    .where(and(eq(events.accountId, account.id), eq(events.type, 'account.needs_reauth')))
const revocationsDone = () => expect.poll(() => world.db().$count(grantRevocations), { timeout: 20_000 }).toBe(0)

/** The ids of the transactions that refused the attempt and that recorded the account's event. */
async function writers(attemptId: string | null, account: ConnectedAccount): Promise<unknown[]> {
  const rows = await queryRows(
    world,
    sql`select transaction from writers where id = ${attemptId}
      or id in (select id::text from events where account_id = ${account.id} and type = 'account.needs_reauth')`,
  )
  return rows.map(({ transaction }) => transaction)
}

/**
 * The state of the other user's account once X has ended its tokens: known at once, and mended by
 * connecting again.
 */
async function expectCut(account: ConnectedAccount, attempt: string | null): Promise<void> {
  expect(await account.show()).toMatchObject({
    status: 'NEEDS_REAUTH',
    statusReason: 'GRANT_REVOKED',
    nextAction: 'RECONNECT',
  })
  expect(await eventsOf(account)).toEqual([
    { type: 'account.needs_reauth', reason: 'GRANT_REVOKED', userId: account.userId },
  ])
  const transactions = await writers(attempt, account)
  expect([transactions.length, new Set(transactions).size]).toEqual([2, 1])
  await revocationsDone()
  await sweepNow(world)
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
  expect(await eventsOf(account)).toHaveLength(1)
  expect(await account.person.connect(account.username, { reconnectAccountId: account.id })).toMatchObject({
    outcome: 'connected',
  })
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
}

describe('L-04 a refused connect that ended the tokens of another user’s connection informs both', () => {
  test('if the account is connected to the other user', async () => {
    const account = await connectAccount(world)
    const second = await world.signedIn('tomasz-k')
    const arrival = await second.connect(account.username)
    expect(arrival).toMatchObject({ outcome: 'failed', code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' })
    const attempt = await attemptOf(second, arrival.attempt)
    expect(attempt).toMatchObject({
      status: 'FAILED',
      error: { code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' },
      account: null,
    })
    expect(attempt.error?.message).toContain(`@${account.username}`)
    expect(attempt.error?.message).toMatch(/ended that connection/)
    await expectCut(account, arrival.attempt)
  })

  test.each(['expectedUsername', 'reconnectAccountId'])('if %s names a third account', async (how) => {
    const account = await connectAccount(world)
    const second = await world.signedIn('tomasz-k')
    const wanted = await connectAccount(world, { person: second })
    const input = how === 'expectedUsername' ? { expectedUsername: wanted.username } : { reconnectAccountId: wanted.id }
    const arrival = await second.connect(account.username, input)
    expect(arrival).toMatchObject({ outcome: 'failed', code: 'WRONG_ACCOUNT' })
    const { error } = await attemptOf(second, arrival.attempt)
    for (const word of [`@${account.username}`, `@${wanted.username}`, 'ended that connection'])
      expect(error?.message).toContain(word)
    expect(await wanted.show()).toMatchObject({ status: 'ACTIVE' })
    expect(await wanted.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    await expectCut(account, arrival.attempt)
  })

  test('and tells a third user nothing if nobody has the account', async () => {
    const username = 'nobodys'
    world.sandbox.control.addAccount(username)
    const second = await world.signedIn('tomasz-k')
    const arrival = await second.connect(username, { expectedUsername: 'somebodys' })
    expect((await attemptOf(second, arrival.attempt)).error?.message).not.toMatch(/ended/)
  })

  test('and not a second time if the other user has to connect again already', async () => {
    const account = await connectAccount(world)
    const second = await world.signedIn('tomasz-k')
    for (let round = 0; round < 2; round++) await second.connect(account.username)
    expect(await eventsOf(account)).toHaveLength(1)
  })
})

test('tokens that X kept in spite of its rule bring their account back without help', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.setKeepsEarlierGrants(true)
  const second = await world.signedIn('tomasz-k')
  await second.connect(account.username)
  world.sandbox.control.setKeepsEarlierGrants(false)
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH' })
  await sweepNow(world)
  expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
})

describe('of two users who approve one account at once, its holder', () => {
  const countMe = () => world.sandbox.control.countReceived({ path: '/2/users/me' })

  /** The holder connects again during the other's approval: each in turn is the later one at X. */
  async function meet(later: 'holder' | 'other') {
    const account = await connectAccount(world)
    const other = await world.signedIn('tomasz-k')
    const approve = async (person: Browser) =>
      person.consent((await person.startXConnect()).authorizationUrl ?? '', account.username)
    const [ofHolder, ofOther] = [await approve(account.person), await approve(other)]
    const [first, second] = later === 'holder' ? [other, account.person] : [account.person, other]
    const reads = countMe()
    // The first has its token, and X takes long to name the account; the second finishes before.
    world.sandbox.control.inject({ kind: 'delayAfter', milliseconds: 1_500, match: { path: '/2/users/me' } })
    const finishing = first.finish(later === 'holder' ? ofOther : ofHolder)
    await expect.poll(countMe, { interval: 1, timeout: 15_000 }).toBe(reads + 1)
    const arrivals = [await second.finish(later === 'holder' ? ofHolder : ofOther), await finishing]
    return { account, other, arrivals }
  }

  test('keeps it if their approval is the later one, and no late revocation ends it', async () => {
    world.sandbox.control.setRevocationEndsAccount(true)
    const { account, arrivals } = await meet('holder')
    expect(arrivals.map(({ outcome }) => outcome)).toEqual(['connected', 'failed'])
    await revocationsDone()
    world.sandbox.control.setRevocationEndsAccount(false)
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(await eventsOf(account)).toEqual([])
  })

  test('is told if the other’s approval is the later one', async () => {
    const { account, arrivals } = await meet('other')
    expect(arrivals[0]).toMatchObject({ outcome: 'failed', code: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER' })
    await revocationsDone()
    await expect.poll(async () => (await account.show()).status, { timeout: 15_000 }).toBe('NEEDS_REAUTH')
    const [row] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.id, account.id))
    expect(row?.statusReason).toBe('GRANT_REVOKED')
  })
})

describe('a revocation that X has not accepted yet does not end a newer grant', () => {
  const countRevocations = () => world.sandbox.control.countReceived({ path: '/2/oauth2/revoke' })
  const retryNow = async () => {
    await world
      .db()
      .execute(
        sql`update pgboss.job set start_after = now() where name = 'revoke-grant' and state in ('created', 'retry')`,
      )
    await wakeJobs(world)
  }

  /** An approval of this account that is refused, and whose revocation X does not accept. */
  async function refusedApproval(person: Browser, username: string, fault?: Fault): Promise<void> {
    world.sandbox.control.setRevocationEndsAccount(true)
    world.sandbox.control.inject({
      kind: 'problem',
      name: 'temporarily-unavailable',
      times: null,
      match: { path: '/2/oauth2/revoke' },
    })
    if (fault !== undefined) world.sandbox.control.inject(fault)
    const input = fault === undefined ? { expectedUsername: 'somebody_else' } : {}
    expect(await person.connect(username, input)).toMatchObject({ outcome: 'failed' })
    await expect.poll(() => world.sandbox.control.faults()[0]?.hits, { timeout: 15_000 }).toBeGreaterThan(0)
    expect(await world.db().$count(grantRevocations)).toBe(1)
  }

  // A connection deletes the requests of its own user. The job of another user's request finds that
  // it is obsolete.
  async function expectAlive(username: string, { requestsOfOthers = 0 } = {}): Promise<void> {
    world.sandbox.control.clearFaults()
    const calls = countRevocations()
    expect(await world.db().$count(grantRevocations)).toBe(requestsOfOthers)
    await retryNow()
    await sweepNow(world)
    await expect
      .poll(
        async () =>
          (
            await queryRows(
              world,
              sql`select from pgboss.job where name = 'revoke-grant' and state in ('created', 'retry', 'active')`,
            )
          ).length,
        { timeout: 20_000 },
      )
      .toBe(0)
    expect(countRevocations()).toBe(calls)
    expect(await world.db().$count(grantRevocations)).toBe(0)
    expect(world.sandbox.control.grants(username).at(-1)?.live).toBe(true)
    world.sandbox.control.setRevocationEndsAccount(false)
  }

  const newAccount = (username: string) => world.sandbox.control.addAccount(username) && username

  test('if its user connects the account', async () => {
    const [person, username] = [await world.signedIn('yuki-ito'), newAccount('given_back')]
    await refusedApproval(person, username)
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    await expectAlive(username)
  })

  test('if another user connects the account', async () => {
    const username = newAccount('passed_on')
    await refusedApproval(await world.signedIn('tomasz-k'), username)
    expect(await (await world.signedIn('yuki-ito')).connect(username)).toMatchObject({ outcome: 'connected' })
    await expectAlive(username, { requestsOfOthers: 1 })
  })

  test('if X never said whose grant it was', async () => {
    const [person, username] = [await world.signedIn('yuki-ito'), newAccount('never_said')]
    await refusedApproval(person, username, { kind: 'problem', name: 'suspended', match: { path: '/2/users/me' } })
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    await expectAlive(username)
  })

  test('if its job runs between the exchange of the code and the stored account', async () => {
    const [person, username] = [await world.signedIn('yuki-ito'), newAccount('in_between')]
    await refusedApproval(person, username)
    const callback = await person.consent((await person.startXConnect()).authorizationUrl ?? '', username)
    world.sandbox.control.clearFaults()
    const [reads, calls] = [world.sandbox.control.countReceived({ path: '/2/users/me' }), countRevocations()]
    world.sandbox.control.inject({ kind: 'delay', milliseconds: 3_000, match: { path: '/2/users/me' } })
    const finishing = person.finish(callback)
    await expect
      .poll(() => world.sandbox.control.countReceived({ path: '/2/users/me' }), { interval: 5, timeout: 15_000 })
      .toBe(reads + 1)
    await retryNow()
    expect(await finishing).toMatchObject({ outcome: 'connected' })
    expect(countRevocations()).toBe(calls)
    await expectAlive(username)
  })

  test('and is carried out if nobody connects the account', async () => {
    const [person, username] = [await world.signedIn('yuki-ito'), newAccount('nobody_connects')]
    await refusedApproval(person, username)
    world.sandbox.control.clearFaults()
    await retryNow()
    await revocationsDone()
    expect(world.sandbox.control.grants(username).at(-1)?.ended).toBe('revoked-by-app')
    world.sandbox.control.setRevocationEndsAccount(false)
  })
})
