// What Prometheus gets from METRICS_PORT.
import { sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { maintenanceTaskNames } from '../../../src/db/maintenance-runs.ts'
import { VERSION } from '../../../src/process/version.ts'
import {
  connectAccount,
  endFaults,
  postFault,
  queryRows,
  refreshFault,
  UNTIL_DUE_SECONDS,
} from '../../support/connected-account.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startWorld } from '../../support/harness.ts'
import { askMetrics, findFormatProblems, parseScrape, type Scrape } from '../../support/scrape.ts'
import { sweepNow } from '../../support/sweep.ts'

async function openWorld(resources: AsyncDisposableStack) {
  const port = await findFreePort()
  // A tweet in doubt stays so.
  const world = await startWorld({ METRICS_PORT: String(port) }, { reconcileAfterSeconds: 3600 })
  resources.defer(() => world.close())
  const scrape = async (): Promise<Scrape> => {
    const { status, type, text } = await askMetrics(port)
    expect(status).toBe(200)
    expect(type).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(findFormatProblems(text)).toEqual([])
    return parseScrape(text)
  }
  return { world, port, scrape }
}

test('requests are counted by route, root field and status, and never by a text of the client', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  const person = await world.connected('maraholt')
  const ask = (query: string) =>
    person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })
  await ask('query Mine { viewer { id } }')
  await ask('query Chosen7f3a9 { alias7f3a9: viewer { id } }')
  await ask('{ viewer { id } connectedAccounts { id } }')
  await ask('{ field7f3a9 }')
  await person.request('/no/such/path-7f3a9?code=7f3a9')
  await person.request('/assets/7f3a9/7f3a9.js')
  const { find, text } = await scrape()
  const requests = (labels: Record<string, string>) => find('xconnect_http_requests_total', labels)
  expect(requests({ route: '/graphql', operation: 'viewer', code: '200' })).toBeGreaterThanOrEqual(2)
  expect(requests({ route: '/graphql', operation: 'several', code: '200' })).toBe(1)
  expect(requests({ route: '/graphql', operation: 'none', code: '200' })).toBe(1)
  expect(requests({ route: 'other', operation: 'none', code: '404' })).toBe(1)
  expect(requests({ route: '/assets', operation: 'none', code: '404' })).toBe(1)
  expect(requests({ route: '/auth/x/callback', operation: 'none', code: '303' })).toBe(1)
  expect(find('xconnect_http_request_duration_seconds_count', { route: '/graphql', operation: 'several' })).toBe(1)
  expect(text).not.toContain('7f3a9')
  expect(text).not.toContain('Mine')
})

test('posts, refreshes, calls to providers and error codes are counted by outcome, without an id or a secret', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  const { control } = world.sandbox
  const account = await connectAccount(world)
  await account.post()
  control.inject(postFault({ kind: 'problem', name: 'duplicate-content' }))
  await account.post()
  control.inject(postFault({ kind: 'dropAfter' }))
  const { tweet } = await account.post()
  expect(tweet?.status).toBe('UNKNOWN')
  world.advance(UNTIL_DUE_SECONDS)
  await account.post()
  world.advance(UNTIL_DUE_SECONDS)
  control.inject(refreshFault({ kind: 'dropAfter' }))
  await account.post()
  endFaults(world)
  const { find, text } = await scrape()
  expect(find('xconnect_posts_total', { outcome: 'POSTED', code: '2xx' })).toBe(3)
  expect(find('xconnect_posts_total', { outcome: 'FAILED', code: '403' })).toBe(1)
  expect(find('xconnect_posts_total', { outcome: 'UNKNOWN', code: 'none' })).toBe(1)
  expect(find('xconnect_token_refreshes_total', { outcome: 'REFRESHED', code: '200' })).toBe(1)
  expect(find('xconnect_token_refreshes_total', { outcome: 'LOST', code: 'none' })).toBe(1)
  expect(find('xconnect_provider_requests_total', { call: 'x_post_tweet', code: '201' })).toBe(3)
  expect(find('xconnect_provider_requests_total', { call: 'x_post_tweet', code: '403' })).toBe(1)
  expect(find('xconnect_provider_requests_total', { call: 'x_post_tweet', code: 'none' })).toBe(1)
  expect(find('xconnect_provider_requests_total', { call: 'x_read_profile', code: '200' })).toBe(1)
  expect(find('xconnect_provider_requests_total', { call: 'github_token', code: '200' })).toBe(1)
  expect(find('xconnect_provider_request_duration_seconds_count', { call: 'x_post_tweet' })).toBe(5)
  expect(find('xconnect_api_errors_total', { error_code: 'DUPLICATE_TWEET' })).toBe(1)
  expect(find('xconnect_tokens_uncertain')).toBe(1)
  expect(find('xconnect_tweets_open', { status: 'UNKNOWN' })).toBe(1)
  expect(find('xconnect_tweets_open', { status: 'PENDING' })).toBe(0)
  expect(find('xconnect_tweets_open_oldest_timestamp_seconds', { status: 'UNKNOWN' })).toBeGreaterThan(
    Date.now() / 1000 - 600,
  )
  expect(find('xconnect_tweets_open_oldest_timestamp_seconds', { status: 'PENDING' })).toBeNull()
  const secrets = [
    account.id,
    account.userId,
    account.username,
    account.providerAccountId,
    tweet?.id,
    await account.storedRefreshToken(),
  ]
  for (const secret of secrets) expect(text).not.toContain(secret)
})

test('connections by status, queues, tasks and the state of the process are in a scrape', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  const account = await connectAccount(world)
  const other = await connectAccount(world)
  await queryRows(
    world,
    sql`update connected_accounts set status = 'NEEDS_REAUTH', status_reason = 'GRANT_REVOKED' where id = ${other.id}`,
  )
  await queryRows(
    world,
    sql`insert into pgboss.job (name, data, start_after) values
    ('revoke-grant', '{}', now() + interval '1 hour')`,
  )
  await sweepNow(world)
  const found = await vi.waitFor(
    async () => {
      const found = await scrape()
      // Runs are gathered for a second, and what the database has said is kept for five.
      for (const task of maintenanceTaskNames)
        expect(found.find('xconnect_maintenance_last_success_timestamp_seconds', { task })).toBeGreaterThan(
          Date.now() / 1000 - 300,
        )
      return found
    },
    { timeout: 30_000, interval: 200 },
  )
  const { find } = found
  expect(find('xconnect_connected_accounts', { status: 'ACTIVE' })).toBe(1)
  expect(find('xconnect_connected_accounts', { status: 'NEEDS_REAUTH' })).toBe(1)
  expect(find('xconnect_tokens_uncertain')).toBe(0)
  const issued = (await account.tokens())?.refreshIssuedAt.getTime() ?? 0
  expect(Math.abs((find('xconnect_oldest_refresh_timestamp_seconds') ?? 0) - issued / 1000)).toBeLessThan(1)
  // One that is not due is not counted.
  expect(find('xconnect_jobs_due', { queue: 'revoke-grant' })).toBe(0)
  expect(find('xconnect_jobs_due_oldest_timestamp_seconds', { queue: 'revoke-grant' })).toBeNull()
  expect(find('xconnect_jobs_total', { queue: 'maintenance', outcome: 'DONE' })).toBe(maintenanceTaskNames.length)
  for (const task of maintenanceTaskNames) {
    expect(find('xconnect_maintenance_behind', { task })).toBe(0)
    expect(find('xconnect_maintenance_failures', { task })).toBe(0)
  }
  expect(find('xconnect_maintenance_rows', { task: 'maintainPartitions' })).toBeNull()
  expect(find('xconnect_build_info', { version: VERSION })).toBe(1)
  expect(find('xconnect_ready')).toBe(1)
  expect(find('xconnect_database_up')).toBe(1)
  expect(find('xconnect_event_streams_open')).toBe(0)
  expect(find('xconnect_log_lines_dropped_total')).toBe(0)
  expect(find('xconnect_circuit_breaker_open', { breaker: 'X_POST' })).toBe(0)
  expect(find('xconnect_database_connections', { caller: 'IDENTIFIED', state: 'waited_for' })).toBe(0)
  expect(find('xconnect_webhook_deliveries_pending')).toBe(0)
  expect(find('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0)
})

test('above 100,000 accounts their number is estimated, and the table is not read', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  const account = await connectAccount(world)
  await queryRows(
    world,
    sql`insert into connected_accounts (user_id, provider, provider_account_id, username, scopes, status, status_since, connected_at, disconnected_at)
      select user_id, provider, 'other-' || n, username, scopes, case when n % 4 = 0 then 'DISCONNECTED' else status end, status_since, connected_at,
        case when n % 4 = 0 then now() end
      from connected_accounts, generate_series(1, 399) n where id = ${account.id}`,
  )
  await queryRows(world, sql`analyze connected_accounts`)
  await queryRows(world, sql`update pg_class set reltuples = 400000 where oid = 'connected_accounts'::regclass`)
  const { find } = await scrape()
  // By the shares of the 400 rows.
  expect(find('xconnect_connected_accounts', { status: 'ACTIVE' })).toBe(301_000)
  expect(find('xconnect_connected_accounts', { status: 'DISCONNECTED' })).toBe(99_000)
})

test('blocks of X and problems of the deployment are shown with their codes', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  await queryRows(
    world,
    sql`insert into x_blocks (user_id, subject, endpoint, error_code, until)
    values ('00000000-0000-0000-0000-000000000000', 'APP', 'POST_TWEET', 'X_CREDITS_EXHAUSTED', now() + interval '1 hour')`,
  )
  await queryRows(
    world,
    sql`insert into provider_problems (code, since, seen_at) values ('X_APP_NOT_ENROLLED', now(), now())`,
  )
  const { find } = await scrape()
  expect(find('xconnect_x_blocked', { endpoint: 'POST_TWEET', error_code: 'X_CREDITS_EXHAUSTED' })).toBe(1)
  expect(find('xconnect_provider_problem', { code: 'X_APP_NOT_ENROLLED' })).toBe(1)
})

test('a scrape asks the database once, and those within the next seconds do not', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  await queryRows(world, sql`create table scrapes (at timestamptz)`)
  // A scrape reads this table once.
  await queryRows(world, sql`alter table provider_problems rename to problems`)
  await queryRows(
    world,
    sql`create function count_scrape() returns text language plpgsql volatile as
    $$ begin insert into scrapes values (now()); return null; end $$`,
  )
  await queryRows(world, sql`create view provider_problems as select count_scrape() as code where random() >= 0`)
  await Promise.all([scrape(), scrape(), scrape()])
  await scrape()
  expect(await queryRows(world, sql`select * from scrapes`)).toHaveLength(1)
})

test('while the database is away a scrape shows what the process knows, and no stale value', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, scrape } = await openWorld(resources)
  await world.connected('maraholt')
  await queryRows(world, sql`alter table provider_problems rename to problems`)
  const { find, samples } = await scrape()
  expect(find('xconnect_database_up')).toBe(0)
  expect(find('xconnect_ready')).toBe(0)
  expect(samples.filter(({ name }) => /connected_accounts|tweets_open|maintenance/.test(name))).toEqual([])
  expect(find('xconnect_http_requests_total', { route: '/auth/x/callback', operation: 'none', code: '303' })).toBe(1)
  expect(world.logs()).toContain('The metrics of the database could not be read')
})

test('nothing but GET /metrics is at the port, and /metrics is not at the other', async () => {
  await using resources = new AsyncDisposableStack()
  const { world, port } = await openWorld(resources)
  expect((await askMetrics(port, '/')).status).toBe(404)
  expect((await askMetrics(port, '/graphql')).status).toBe(404)
  expect((await askMetrics(port, '/metrics', { method: 'POST' })).status).toBe(405)
  expect((await world.browser().request('/metrics')).status).toBe(404)
})
