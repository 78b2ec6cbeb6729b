// Internal failures while an account's tokens or a tweet are claimed: the claim is released, so
// that the next caller need not wait until it expires.
import { type SQL, sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectAccount, endFaults, postFault, UNTIL_ENDED_SECONDS, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { runTask, sweepNow } from '../../support/sweep.ts'

let world: World
beforeEach(async () => {
  world = await startWorld()
})
afterEach(() => world.close())

/**
 * Refuses each UPDATE of `table` that matches `condition` during `work`, with an error that a retry
 * does not cure.
 */
async function whileRefused(table: string, condition: SQL, work: () => Promise<void>): Promise<void> {
  await world.db().execute(sql`create function refuse() returns trigger language plpgsql as $$ begin
    raise exception 'not this one' using errcode = '23514';
  end $$`)
  await world
    .db()
    .execute(
      sql`create trigger refuse before update on ${sql.identifier(table)} for each row when (${condition}) execute function refuse()`,
    )
  try {
    await work()
  } finally {
    await world.db().execute(sql`drop function refuse cascade`)
  }
}

const isConfirmation = sql`old.lease_id is not null and new.lease_id is not distinct from old.lease_id`

test('releases a lease that cannot be confirmed, and the tweet too', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  const x = watchX(world)
  const input = { idempotencyKey: 'unforeseen' }
  await whileRefused('oauth_tokens', isConfirmation, async () => {
    await expect(account.post('Once', input)).rejects.toThrow('The gateway failed')
  })
  expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', leaseId: null, leaseUntil: null, sentAt: null })
  expect(await account.tweets()).toMatchObject([{ status: 'FAILED', errorCode: 'POST_INTERRUPTED', sentAt: null }])
  expect([x.refreshes(), x.posts()]).toEqual([0, 0])
  // After the pause that follows a failure, long before the lease would expire.
  world.advance(2)
  expect(await account.post('Once', input)).toMatchObject({ tweet: { status: 'POSTED' } })
  expect([x.refreshes(), x.posts()]).toEqual([1, 1])
  expect(account.grant()).toMatchObject({ live: true, replays: 0 })
})

test('tokens that cannot be stored leave the row in doubt at once, and the user is told when X refuses the old ones', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  await whileRefused('oauth_tokens', sql`new.version > old.version`, async () => {
    await expect(account.post()).rejects.toThrow('The gateway failed')
  })
  expect(await account.tokens()).toMatchObject({ state: 'UNCERTAIN', leaseId: null, cause: 'RESPONSE_LOST' })
  world.advance(11)
  expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })
})

test('a tweet that cannot be marked as sent is not sent, and its key tries again', async () => {
  const account = await connectAccount(world)
  const x = watchX(world)
  const input = { idempotencyKey: 'unmarked' }
  await whileRefused('tweets', sql`new.sent_at is not null and old.sent_at is null`, async () => {
    await expect(account.post('Once', input)).rejects.toThrow('The gateway failed')
  })
  expect(await account.tweets()).toMatchObject([{ status: 'FAILED', errorCode: 'POST_INTERRUPTED' }])
  expect(x.posts()).toBe(0)
  expect(await account.post('Once', input)).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(x.posts()).toBe(1)
})

test('a failure after X has rejected the access token leaves no doubt about the tweet', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized' }))
  await whileRefused('oauth_tokens', isConfirmation, async () => {
    await expect(account.post()).rejects.toThrow('The gateway failed')
  })
  expect(await account.tweets()).toMatchObject([{ status: 'FAILED', errorCode: 'POST_INTERRUPTED' }])
  endFaults(world)
})

test('one account that cannot be refreshed does not stop the rest of the sweep', async () => {
  const person = await world.signedIn()
  const [first, second] = [await connectAccount(world, { person }), await connectAccount(world, { person })]
  await first.setTokens({ refreshIssuedAt: new Date(0) })
  await second.setTokens({ refreshIssuedAt: new Date(1_000) })
  const isFirst = sql`${isConfirmation} and new.account_id = ${sql.raw(`'${first.id}'`)}`
  await whileRefused('oauth_tokens', isFirst, () => sweepNow(world))
  expect(await first.tokens()).toMatchObject({ version: 1, leaseId: null, sentAt: null })
  expect(await second.tokens()).toMatchObject({ version: 2 })
  expect(world.logs()).toContain('Could not refresh the tokens of an account in the sweep')
})

test('a task of the sweep that fails does not stop the others, and has a log line of its own', async () => {
  const account = await connectAccount(world)
  await account.setTokens({ refreshIssuedAt: new Date(0) })
  await world.db().execute(sql`alter table rate_limits rename to mislaid`)
  try {
    expect(await runTask(world, 'sweepRateLimits')).toBe('failed')
    expect(await runTask(world, 'refreshIdleAccounts')).toBe('completed')
    expect((await account.tokens())?.version).toBe(2)
    const failed = world
      .logs()
      .split('\n')
      .filter((line) => line.includes('A maintenance task failed'))
    expect(failed.map((line) => JSON.parse(line).task)).toEqual(['sweepRateLimits'])
  } finally {
    await world.db().execute(sql`alter table mislaid rename to rate_limits`)
  }
})
