// What is measured in each database. A measure returns figures by name.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, sql } from 'drizzle-orm'
import { pgTable, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { Pool } from 'undici'
import { refreshIdleAccounts } from '../../../src/accounts/refresh-sweep.ts'
import { sealToken } from '../../../src/accounts/sealed-tokens.ts'
import { startStreamRechecks } from '../../../src/auth/stream-recheck.ts'
import { prepareQuery } from '../../../src/db/prepared-query.ts'
import { connectedAccounts } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { recordEvent } from '../../../src/events/events.ts'
import { followEvents } from '../../../src/events/streams.ts'
import { maintenanceTasks } from '../../../src/jobs/maintenance.ts'
import { DEFAULT_STREAMS_PER_OWNER } from '../../../src/process/event-streams.ts'
import { readProcessorTime, readTreeTime } from '../processor-time.ts'
import { CLIENTS, type Stage } from './stage.ts'

export type Figures = Readonly<Record<string, number>>

const REQUEST_CLIENTS = 4
const TURNS_PER_SECOND = 2
const requests: Readonly<Record<string, string>> = {
  connectedAccounts: '{ connectedAccounts { id username status } }',
  'tweets(first: 20)': '{ tweets(first: 20) { nodes { id text status } } }',
  'events(first: 20)': '{ events(first: 20) { nodes { id type } } }',
}

/**
 * Requests a second of the gateway process, by API token, from four clients, and the microseconds
 * of processor time that one of them costs the gateway and PostgreSQL.
 */
export async function measureRequests({ url, pid, postmasterPid, secret }: Stage, seconds: number): Promise<Figures> {
  const figures: Record<string, number> = {}
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${secret}` }
  // Not fetch: the dispatcher of the gateway's own calls opens a connection for each.
  await using pool = disposable(new Pool(url, { connections: REQUEST_CLIENTS }))
  for (const [name, query] of Object.entries(requests)) {
    const body = JSON.stringify({ query })
    let sent = 0
    const before = { gateway: readProcessorTime(pid), database: readTreeTime(postmasterPid) }
    figures[`requests/s: ${name}`] = await countPerSecond(REQUEST_CLIENTS, seconds, async () => {
      sent += 1
      const response = await pool.request({ path: '/graphql', method: 'POST', headers, body })
      const text = await response.body.text()
      if (response.statusCode !== 200 || text.includes('"errors"')) throw new Error(`${name}: ${text}`)
    })
    const perRequest = (milliseconds: number) => (milliseconds * 1000) / sent
    figures[`µs of the gateway: ${name}`] = perRequest(readProcessorTime(pid) - before.gateway)
    figures[`µs of PostgreSQL: ${name}`] = perRequest(readTreeTime(postmasterPid) - before.database)
  }
  return figures
}

/** Milliseconds of each task of the maintenance when nothing is due. */
export async function measureSweeps({ deps }: Stage): Promise<Figures> {
  const figures: Record<string, number> = {}
  for (const [name, run] of maintenanceTasks) {
    const startedAt = performance.now()
    await run(deps, new AbortController().signal)
    figures[`ms: ${name}`] = performance.now() - startedAt
  }
  return figures
}

// The age beyond which a token is refreshed is 150 days.
const DUE_SINCE = "now() - interval '160 days'"
// As many as make the largest batch.
const MOST_DUE = 120_000

/** Refreshed tokens of unused accounts a minute, while X responds at once. */
export async function measureIdleRefreshes(stage: Stage, seconds: number): Promise<Figures> {
  const { deps, size, run } = stage
  const due = Math.min(size.connections, MOST_DUE)
  // In an order, so that those of the next batch are known.
  await run(`update oauth_tokens set refresh_issued_at = ${DUE_SINCE} - n * interval '1 s', access_expires_at = ${DUE_SINCE}
    from generate_series(1, ${due}) n where user_id = md5('user' || n)::uuid`)
  await sealNext(stage, Math.ceil(due / 60))
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), seconds * 1000)
  const startedAt = performance.now()
  await refreshIdleAccounts(deps, stop.signal)
  const minutes = (performance.now() - startedAt) / 60_000
  clearTimeout(timer)
  const [row] = await run(`select count(*)::int as count from oauth_tokens where version > 1`)
  await run(`update oauth_tokens set refresh_issued_at = now(), version = 1
    where version > 1 or refresh_issued_at < now() - interval '150 days'`)
  return { 'idle refreshes a minute': Number(row?.count) / minutes }
}

// The seed has no token that opens: those of the next batch get one.
async function sealNext({ deps, run }: Stage, batch: number): Promise<void> {
  const rows =
    await run(`select user_id, account_id from oauth_tokens where state <> 'DEAD' and refresh_token_sealed is not null
    order by refresh_issued_at limit ${Math.max(batch, 20)}`)
  const values = rows.map((row) => {
    const owner = { userId: String(row.user_id), accountId: String(row.account_id) }
    return `('${owner.userId}'::uuid, '${sealToken(deps, owner, 'refreshTokenSealed', 'refresh-token')}')`
  })
  await run(`update oauth_tokens t set refresh_token_sealed = v.sealed
    from (values ${values.join(', ')}) v (user_id, sealed) where t.user_id = v.user_id`)
}

// A table with one index, without constraints and partitions.
const bareEvents = pgTable(
  'bare_events',
  { userId: uuid(), id: uuid(), type: text(), accountId: uuid(), occurredAt: timestamp({ withTimezone: true }) },
  (table) => [primaryKey({ columns: [table.userId, table.id] })],
)

const insertBare = prepareQuery(({ db, clock }) => {
  const given = sql.placeholder
  const row = { userId: given('userId'), id: given('id'), type: given('type'), accountId: given('accountId') }
  return db
    .insert(bareEvents)
    .values({ ...row, occurredAt: clock.sqlNow() })
    .returning({ id: bareEvents.id })
})

/**
 * Transactions a second, by 16 clients: of an UPDATE alone, of the same with an event, and of the same
 * with the least that could be one, an INSERT of its values by a prepared statement.
 */
export async function measureCommits(stage: Stage, seconds: number): Promise<Figures> {
  const { deps, size, run } = stage
  await run(`create table if not exists bare_events
    (user_id uuid, id uuid, type text, account_id uuid, occurred_at timestamptz, primary key (user_id, id))`)
  const users = stage.userIds(Math.min(CLIENTS * 4, size.connections))
  let next = 0
  const commit = (write: 'NOTHING' | 'EVENT' | 'BARE_ROW') =>
    transaction(deps, async (deps) => {
      const userId = users[next++ % users.length] ?? ''
      const [account] = await deps.db
        .update(connectedAccounts)
        .set({ lastUsedAt: deps.clock.sqlNow() })
        .where(and(eq(connectedAccounts.userId, userId), eq(connectedAccounts.provider, 'X')))
        .returning({ id: connectedAccounts.id })
      const event = { type: 'tweet.posted' as const, userId, accountId: account?.id ?? userId }
      if (write === 'EVENT') await recordEvent(deps, event)
      if (write === 'BARE_ROW') await insertBare(deps, { ...event, id: randomUUID() })
    })
  // In short turns, so that what else the machine does slows all alike.
  const works = (['NOTHING', 'EVENT', 'BARE_ROW'] as const).map((write) => () => commit(write))
  const [alone = 0, withEvent = 0, withRow = 0] = await alternate(works, seconds)
  return {
    'commits/s: an UPDATE': alone,
    'commits/s: an UPDATE and an event': withEvent,
    'share that the event leaves': withEvent / alone,
    'commits/s: an UPDATE and a bare INSERT': withRow,
    'share that the bare INSERT leaves': withRow / alone,
  }
}

/** Statements a second of an instance with idle event streams, after they have begun. */
export async function measureStreams(stage: Stage, streams: number, seconds: number): Promise<Figures> {
  const { deps, size } = stage
  const tokens = await stage.run(`select distinct on (user_id) user_id, id from api_tokens
    where user_id in (${stage.userIds(Math.min(size.connections, streams)).map((id) => `'${id}'`)}) order by user_id, id`)
  const opened: AsyncIterableIterator<unknown>[] = []
  const stopRechecks = startStreamRechecks(deps)
  for (let n = 0; n < streams; n++) {
    const token = tokens[n % tokens.length]
    const userId = String(token?.user_id)
    const events = await followEvents(deps, {
      reader: { kind: 'USER', userId },
      owner: `owner ${Math.floor(n / DEFAULT_STREAMS_PER_OWNER)}`,
      filter: { types: null, accountId: null },
      after: null,
      credential: { kind: 'API_TOKEN', userId, id: String(token?.id) },
      isAllowed: async () => true,
      payForPage: async () => {},
    })
    opened.push(events)
    void events.next().catch(() => {})
  }
  // The first recheck may find streams that have just begun.
  await sleep(deps.timing.streamRecheckSeconds * 1500)
  const before = stage.statementCount()
  const measuredSeconds = Math.max(seconds, 2 * deps.timing.streamRecheckSeconds)
  await sleep(measuredSeconds * 1000)
  const sent = stage.statementCount() - before
  stopRechecks()
  for (const events of opened) await events.return?.()
  return { [`statements/s: ${streams.toLocaleString('en')} idle streams`]: sent / measuredSeconds }
}

function disposable(pool: Pool) {
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.close() })
}

/** Returns the mean rate of each work, by the clients of `CLIENTS`. */
async function alternate(works: readonly (() => Promise<unknown>)[], seconds: number): Promise<number[]> {
  const rates = works.map((): number[] => [])
  for (let turn = 0; turn < seconds * TURNS_PER_SECOND; turn++)
    for (const [at, work] of works.entries()) rates[at]?.push(await countPerSecond(CLIENTS, 1 / TURNS_PER_SECOND, work))
  return rates.map((own) => own.reduce((sum, rate) => sum + rate, 0) / own.length)
}

async function countPerSecond(clients: number, seconds: number, work: () => Promise<unknown>): Promise<number> {
  let done = 0
  const endsAt = performance.now() + seconds * 1000
  const startedAt = performance.now()
  const client = async () => {
    while (performance.now() < endsAt) {
      await work()
      done += 1
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return (done * 1000) / (performance.now() - startedAt)
}
