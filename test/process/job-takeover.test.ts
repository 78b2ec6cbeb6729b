// What a killed or frozen gateway was running is taken over by another one, and rows whose job was
// lost in a crash are given another.
import { eq, sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { type Database, openPostgres, queryRows } from '../../src/db/client.ts'
import { connectedAccounts, grantRevocations, oauthTokens, tweets } from '../../src/db/tables.ts'
import { openBrowser } from '../support/browser.ts'
import { expireJobs } from '../support/expired-jobs.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'

/** A database and a sandbox, on which the test starts gateways one after the other. */
async function startSite(resources: AsyncDisposableStack) {
  const port = await findFreePort()
  const publicUrl = `http://127.0.0.1:${port}`
  const { sandbox, connectionString, environment } = await createSandboxSite(resources, publicUrl)
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const start = async (at = port) => {
    const gateway = startGatewayProcess({ ...environment, PORT: String(at) })
    resources.defer(async () => void (await gateway.kill()))
    await gateway.ready(`http://127.0.0.1:${at}`)
    return gateway
  }
  /** Signs in, and connects two accounts. Returns their ids in the order of their names. */
  const connectTwo = async () => {
    const person = openBrowser(publicUrl)
    resources.defer(() => person.close())
    await person.signIn('mara-holt')
    for (const username of ['first_account', 'second_account']) {
      sandbox.control.addAccount(username)
      expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    }
    const accounts = await opened.db.select().from(connectedAccounts).orderBy(connectedAccounts.username)
    return { person, accountIds: accounts.map(({ id }) => id) }
  }
  return { sandbox, opened, connectionString, start, connectTwo }
}

/** Queues a task, as each instance does every minute, and returns its job's id. */
async function queueTask({ db }: Database, task: string): Promise<string> {
  const data = JSON.stringify({ task })
  const [job] = await queryRows(
    db,
    sql`insert into pgboss.job (name, data, retry_limit, expire_seconds, singleton_key, policy)
      values ('maintenance', ${data}::jsonb, 0, 60, ${task}, 'stately') returning id`,
  )
  await queryRows(db, sql`select pg_notify('xconnect_jobs', '')`)
  return String(job?.id)
}

async function stateOf({ db }: Database, jobId: string) {
  const [job] = await queryRows(db, sql`select state::text from pgboss.job where id = ${jobId}`)
  return job?.state
}

test.each(['SIGKILL', 'SIGSTOP'] as const)(
  'a task whose gateway gets %s is taken over by another one, which goes on with the accounts that are left',
  {
    timeout: 240_000,
  },
  async (signal) => {
    await using resources = new AsyncDisposableStack()
    const { sandbox, opened, connectionString, start, connectTwo } = await startSite(resources)
    const first = await start()
    const { accountIds } = await connectTwo()
    const [earlier, later] = accountIds
    // Both are due, the first account first.
    for (const [id, days] of [
      [earlier, 160],
      [later, 155],
    ] as const) {
      const past = sql`now() - make_interval(days => ${days})`
      const due = { refreshIssuedAt: past, accessExpiresAt: past }
      await opened.db
        .update(oauthTokens)
        .set(due)
        .where(eq(oauthTokens.accountId, id ?? ''))
    }
    const refreshes = () => sandbox.control.countTokenCalls('refresh_token')
    const versionOf = async (id: string | undefined) =>
      (
        await opened.db
          .select()
          .from(oauthTokens)
          .where(eq(oauthTokens.accountId, id ?? ''))
      )[0]?.version
    sandbox.control.inject({
      kind: 'delayAfter',
      milliseconds: 5_000,
      match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } },
    })
    const job = await queueTask(opened, 'refreshIdleAccounts')
    await vi.waitFor(() => expect(refreshes()).toBe(1), { timeout: 30_000, interval: 20 })
    expect(await stateOf(opened, job)).toBe('active')
    first.signal(signal)

    await start(await findFreePort())
    // Until it has expired, nobody else runs the task.
    const waiting = await queueTask(opened, 'refreshIdleAccounts')
    await expireJobs(opened, connectionString)
    await queryRows(opened.db, sql`select pg_notify('xconnect_jobs', '')`)
    await vi.waitFor(async () => expect(await stateOf(opened, waiting)).toBe('completed'), { timeout: 60_000 })
    expect(await stateOf(opened, job)).toBe('failed')
    expect(await versionOf(later)).toBe(2)
    expect(refreshes()).toBe(2)

    if (signal === 'SIGSTOP') {
      first.signal('SIGCONT')
      // It stores the tokens that X has issued to it, and its job stays as it is.
      await vi.waitFor(async () => expect(await versionOf(earlier)).toBe(2), { timeout: 60_000 })
      expect(await stateOf(opened, job)).toBe('failed')
      expect(refreshes()).toBe(2)
    }
    for (const username of ['first_account', 'second_account'])
      expect(sandbox.control.grants(username)).toMatchObject([{ live: true, rotations: 1, replays: 0 }])
  },
)

test('rows whose jobs were lost when their gateway was killed are given jobs by another one', {
  timeout: 240_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const { sandbox, opened, start, connectTwo } = await startSite(resources)
  const first = await start()
  const { person, accountIds } = await connectTwo()
  const [posting, disconnecting] = accountIds
  // A crash on a cluster of databases can lose a job whose row is written.
  await opened.db.execute(
    sql`create function lose_jobs() returns trigger language plpgsql as $$ begin return null; end $$`,
  )
  await opened.db.execute(
    sql`create trigger lose_jobs before insert on pgboss.job_common for each row execute function lose_jobs()`,
  )
  sandbox.control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  const posted = await person.api<{ postTweet: unknown }>('post-tweet', {
    input: { accountId: posting, text: 'In doubt' },
  })
  expect(posted).toMatchObject({ postTweet: { tweet: { status: 'UNKNOWN' } } })
  await person.api('disconnect-account', { input: { accountId: disconnecting } })
  await first.kill()
  expect(await opened.db.$count(grantRevocations)).toBe(1)
  expect(await queryRows(opened.db, sql`select from pgboss.job where name <> 'maintenance'`)).toEqual([])
  await opened.db.execute(sql`drop trigger lose_jobs on pgboss.job_common`)

  await start()
  const job = await queueTask(opened, 'replaceLostJobs')
  await vi.waitFor(async () => expect(await stateOf(opened, job)).toBe('completed'), { timeout: 60_000 })
  await vi.waitFor(async () => expect(await opened.db.$count(grantRevocations)).toBe(0), { timeout: 60_000 })
  expect(sandbox.control.grants('second_account')).toMatchObject([{ live: false }])
  await vi.waitFor(async () => expect(await opened.db.select().from(tweets)).toMatchObject([{ status: 'POSTED' }]), {
    timeout: 120_000,
  })
  expect(sandbox.control.tweets('first_account')).toHaveLength(1)
})
