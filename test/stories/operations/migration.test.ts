// A database of the last release keeps all of its rows when this release migrates it.
import { asc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queryRows } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import {
  accountHolders,
  connectAttempts,
  connectedAccounts,
  grantRevocations,
  idempotencyKeys,
  OPERATOR_ID,
  oauthTokens,
  orphanedTokens,
  refusedConnections,
  tweets,
  xBlocks,
} from '../../../src/db/tables.ts'
import { createReleaseDatabase, type ReleaseDatabase } from '../../support/release-database.ts'

const USERS = 100_000
const ACCOUNTS = 20_000

let database: ReleaseDatabase
beforeAll(async () => {
  database = await createReleaseDatabase()
  for (const statement of rowsOfRelease) await database.db.execute(statement)
  before = await readRelease()
  await migrateDatabase(database)
}, 300_000)
afterAll(() => database[Symbol.asyncDispose]())

let before: Record<string, unknown>[]

// The ids of the rows are made of their numbers, so that each can be found again.
const uuid = (kind: string, number: SQL | number) => sql`md5(${sql.raw(`'${kind} '`)} || ${number})::uuid`
const numbers = (last: number) => sql`generate_series(1, ${sql.raw(String(last))}) as number`
const now = sql`timestamptz '2026-11-01T00:00:00Z'`
const n = sql.raw('number')

// An account and a tweet have the number of their user: every 10th is DISCONNECTED, and every 7th needs
// reauthorization. Account 10 was disconnected by user 10 and is connected by user 11, as its second.
const rowsOfRelease = [
  sql`insert into users (id, github_id, login) select ${uuid('user', n)}, number, 'user-' || number from ${numbers(USERS)}`,
  sql`insert into connected_accounts (id, user_id, provider, provider_account_id, username, scopes, status, status_reason, status_since, connected_at, disconnected_at)
    select ${uuid('account', n)}, ${uuid('user', n)}, 'X', number::text, 'name_' || number, '{tweet.read}',
      case when number % 10 = 0 then 'DISCONNECTED' when number % 7 = 0 then 'NEEDS_REAUTH' else 'ACTIVE' end, null, ${now}, ${now},
      case when number % 10 = 0 then ${now} end
    from ${numbers(ACCOUNTS)}`,
  sql`insert into connected_accounts (id, user_id, provider, provider_account_id, username, scopes, status, status_since, connected_at)
    values (${uuid('account', 0)}, ${uuid('user', 11)}, 'X', '10', 'name_10', '{tweet.read}', 'ACTIVE', ${now}, ${now})`,
  sql`insert into oauth_tokens (account_id, access_token_sealed, refresh_token_sealed, access_expires_at, grant_id, refresh_issued_at, last_event, last_event_at, version)
    select ${uuid('account', n)}, 'access ' || number, 'refresh ' || number, ${now}, ${uuid('grant', n)}, ${now}, 'ISSUED', ${now}, number
    from ${numbers(ACCOUNTS)} where number % 10 <> 0`,
  sql`insert into orphaned_tokens (id, account_id, from_version, fencing_token, access_token_sealed, access_expires_at, created_at)
    values (${uuid('orphan', 3)}, ${uuid('account', 3)}, 3, 1, 'orphan 3', ${now}, ${now})`,
  sql`insert into tweets (id, user_id, account_id, idempotency_key_hash, request_hash, text, status, claimed_until, x_tweet_id, error_code, created_at)
    select ${uuid('tweet', n)}, ${uuid('user', n)}, ${uuid('account', n)}, 'key', 'request', 'Tweet ' || number,
      case number % 3 when 0 then 'POSTED' when 1 then 'UNKNOWN' else 'FAILED' end, ${now},
      case number % 3 when 0 then number::text end, case number % 3 when 0 then null else 'OUTCOME_UNKNOWN' end, ${now}
    from ${numbers(ACCOUNTS)}`,
  // The last 125 days, one event for each user.
  sql`insert into events (id, type, user_id, occurred_at)
    select ${uuid('event', n)}, 'tweet.posted', ${uuid('user', n)}, now() - number * interval '9 minutes'
    from ${numbers(ACCOUNTS)}`,
  sql`insert into webhook_endpoints (id, user_id, url, secret_sealed, enabled_at, created_at)
    select ${uuid('endpoint', n)}, ${uuid('user', n)}, 'https://example.com/', 'sealed', ${now}, ${now} from ${numbers(5)}`,
  sql`insert into webhook_deliveries (id, endpoint_id, event_id, status, attempts, next_attempt_at, created_at, delivered_at)
    select ${uuid('delivery', 1)}, ${uuid('endpoint', 1)}, ${uuid('event', 1)}, 'DELIVERED', 1, null, occurred_at, occurred_at
    from events where id = ${uuid('event', 1)}`,
  // Of two months: the pending ones are kept.
  ...[40, 45, 100, 110].map(
    (days, index) =>
      sql`insert into webhook_deliveries (id, endpoint_id, event_id, status, attempts, next_attempt_at, created_at, delivered_at)
        select ${uuid('delivery', 2 + index)}, ${uuid('endpoint', 2 + index)}, ${uuid('event', 2 + index)}, ${index % 2 === 0 ? 'PENDING' : 'DELIVERED'}, 1,
          ${index % 2 === 0 ? sql`now()` : null}, moment, ${index % 2 === 0 ? null : sql`moment`}
        from (select now() - ${`${days} days`}::interval as moment) as past`,
  ),
  sql`insert into grant_revocations (id, account_id, user_id, provider_account_id, token_sealed, token_type_hint, created_at) values
    (${uuid('revocation', 1)}, ${uuid('account', 10)}, ${uuid('user', 10)}, null, 'of account 10', 'refresh_token', ${now}),
    (${uuid('revocation', 2)}, ${uuid('attempt', 2)}, ${uuid('user', 2)}, '42', 'of a refused attempt', 'refresh_token', ${now}),
    (${uuid('revocation', 3)}, ${uuid('account', -1)}, ${uuid('user', -1)}, null, 'of a deleted user', 'access_token', ${now})`,
  sql`insert into connect_attempts (id, kind, state_hash, user_id, session_id, scopes, status, provider_account_id, reconnect_account_id, account_id, tokens_sealed, next_try_at, created_at, expires_at, finished_at) values
    (${uuid('attempt', 1)}, 'X_CONNECT', 'state 1', ${uuid('user', 1)}, 'session', '{tweet.read}', 'SUCCEEDED', null, ${uuid('account', 1)}, ${uuid('account', 1)}, null, null, ${now}, ${now}, ${now}),
    (${uuid('attempt', 2)}, 'X_CONNECT', 'state 2', ${uuid('user', 2)}, 'session', '{tweet.read}', 'FAILED', '42', null, null, null, null, ${now}, ${now}, ${now}),
    (${uuid('attempt', 3)}, 'X_CONNECT', 'state 3', ${uuid('user', 3)}, 'session', '{tweet.read}', 'FAILED', '42', null, null, null, null, ${now}, ${now}, ${now} + interval '1 minute'),
    (${uuid('attempt', 4)}, 'X_CONNECT', 'state 4', ${uuid('user', 4)}, 'session', '{tweet.read}', 'WAITING', null, null, null, 'sealed 4', ${now}, ${now}, ${now}, null)`,
  sql`insert into x_blocks (subject, endpoint, error_code, until) values
    ('APP', 'READ_PROFILE', 'X_CREDITS_EXHAUSTED', ${now}),
    (${uuid('account', 5)}::text, 'POST_TWEET', 'X_RATE_LIMITED', ${now}),
    (${uuid('attempt', 4)}::text, 'READ_PROFILE', 'X_RATE_LIMITED', ${now}),
    (${uuid('account', -1)}::text, 'POST_TWEET', 'X_RATE_LIMITED', ${now})`,
]

const idOf = async (kind: string, number: number): Promise<string> =>
  String((await queryRows(database.db, sql`select ${uuid(kind, number)}::text as id`))[0]?.id)

// Every column of every row, without the user that the new key adds.
function readRelease(): Promise<Record<string, unknown>[]> {
  const digest = (name: string, rows: SQL) =>
    sql`select ${sql.raw(`'${name}'`)} as name, count(*)::int as rows, md5(string_agg(row, '|' order by row)) as digest from (${rows}) as found`
  const tokens = sql`(to_jsonb(tokens) - 'user_id')::text || (select user_id from connected_accounts where id = account_id) as row`
  return queryRows(
    database.db,
    sql.join(
      [
        digest('accounts', sql`select to_jsonb(accounts)::text as row from connected_accounts as accounts`),
        digest('tokens', sql`select ${tokens} from oauth_tokens as tokens`),
        digest('orphans', sql`select ${tokens} from orphaned_tokens as tokens`),
        digest(
          'tweets',
          sql`select (to_jsonb(tweets) - 'idempotency_key_hash' - 'request_hash')::text as row from tweets`,
        ),
        digest('events', sql`select (to_jsonb(events) - 'subject_user_id' - 'actor')::text as row from events`),
        digest(
          'deliveries',
          sql`select (to_jsonb(deliveries) - 'user_id')::text as row from webhook_deliveries as deliveries
            where status = 'PENDING' or created_at > now() - interval '30 days'`,
        ),
        digest(
          'attempts',
          sql`select (to_jsonb(attempts) - 'provider_account_id' - 'kind' - 'browser_hash')::text as row from connect_attempts as attempts`,
        ),
      ],
      sql` union all `,
    ),
  )
}

describe('accounts, tokens, tweets and events', () => {
  test('are all kept, with every column', async () => {
    expect(before.map(({ name, rows }) => [name, rows])).toEqual([
      ['accounts', ACCOUNTS + 1],
      ['tokens', ACCOUNTS * 0.9],
      ['orphans', 1],
      ['tweets', ACCOUNTS],
      ['events', ACCOUNTS],
      ['deliveries', 3],
      ['attempts', 4],
    ])
    expect(await readRelease()).toEqual(before)
  })

  test('name the user of their account', async () => {
    const { db } = database
    const stray = (table: string) =>
      queryRows(
        db,
        sql`select count(*)::int as rows from ${sql.raw(table)} as row where not exists (
          select from connected_accounts as account where account.user_id = row.user_id and account.id = row.account_id)`,
      )
    for (const table of ['oauth_tokens', 'orphaned_tokens', 'tweets']) expect(await stray(table)).toEqual([{ rows: 0 }])
    const [orphan] = await db.select().from(orphanedTokens)
    expect(orphan?.userId).toBe(await idOf('user', 3))
  })

  test.each([
    ['events', 'occurred_at'],
    ['webhook_deliveries', 'created_at'],
  ])('of %s each row is in the partition of its month, and none in the default partition', async (table, moment) => {
    const rows = await queryRows(
      database.db,
      sql`select distinct tableoid::regclass::text as partition, ${table} || to_char(${sql.raw(moment)} at time zone 'UTC', '_YYYY_MM') as month
        from ${sql.raw(table)}`,
    )
    expect(rows.filter(({ partition, month }) => partition !== month)).toEqual([])
    expect(rows.length).toBeGreaterThan(2)
    expect(await queryRows(database.db, sql`select pg_relation_size(${`${table}_default`})::int as bytes`)).toEqual([
      { bytes: 0 },
    ])
  })

  test('each user with pending deliveries has a turn, which is due with the first of them', async () => {
    const due = sql`select user_id, min(next_attempt_at) as prompt_at from webhook_deliveries where status = 'PENDING' group by user_id`
    const turns = sql`select user_id, prompt_at from webhook_turns where slow_at is null`
    expect(await queryRows(database.db, sql`${due} order by user_id`)).toHaveLength(2)
    expect(await queryRows(database.db, sql`${turns} order by user_id`)).toEqual(
      await queryRows(database.db, sql`${due} order by user_id`),
    )
  })

  test('a finished delivery beyond the retention is deleted where it has no month of its own', async () => {
    const rows = await queryRows(
      database.db,
      sql`select id from webhook_deliveries where status <> 'PENDING' and created_at < now() - interval '90 days'`,
    )
    expect(rows).toEqual([])
  })

  test('a tweet is found by its idempotency key for another 30 days', async () => {
    const { db } = database
    expect(await db.$count(idempotencyKeys)).toBe(ACCOUNTS)
    const [three] = await db
      .select({
        ...getTableColumns(idempotencyKeys),
        daysLeft: sql<number>`round(extract(epoch from ${idempotencyKeys.expiresAt} - xconnect_now()) / 86400)::int`,
      })
      .from(idempotencyKeys)
      .where(eq(idempotencyKeys.userId, await idOf('user', 3)))
    const { expiresAt: _, ...key } = three ?? {}
    expect(key).toEqual({
      userId: await idOf('user', 3),
      keyHash: 'key',
      requestHash: 'request',
      tweetId: await idOf('tweet', 3),
      daysLeft: 30,
    })
  })

  test('an X account is held by the user for whom it is not disconnected', async () => {
    const { db } = database
    expect(await db.$count(accountHolders)).toBe(ACCOUNTS * 0.9 + 1)
    const [ten] = await db.select().from(accountHolders).where(eq(accountHolders.providerAccountId, '10'))
    expect(ten).toEqual({ providerAccountId: '10', provider: 'X', userId: await idOf('user', 11) })
    expect(await db.select().from(accountHolders).where(eq(accountHolders.providerAccountId, '20'))).toEqual([])
  })

  test('a revocation knows the account at X, if its row does', async () => {
    const rows = await database.db.select().from(grantRevocations).orderBy(asc(grantRevocations.tokenSealed))
    expect(rows.map(({ tokenSealed, providerAccountId }) => [tokenSealed, providerAccountId])).toEqual([
      ['of a deleted user', null],
      ['of a refused attempt', '42'],
      ['of account 10', '10'],
    ])
  })

  test('the last refused connection of an X account is kept', async () => {
    expect(await database.db.select().from(refusedConnections)).toEqual([
      {
        providerAccountId: '42',
        provider: 'X',
        userId: await idOf('user', 3),
        attemptId: await idOf('attempt', 3),
        refusedAt: new Date('2026-11-01T00:01:00Z'),
      },
    ])
  })

  test('a block belongs to the user of its account or attempt, and that of the app to the operator', async () => {
    const rows = await database.db.select().from(xBlocks)
    expect(new Map(rows.map(({ subject, userId }) => [subject, userId]))).toEqual(
      new Map([
        ['APP', OPERATOR_ID],
        [await idOf('account', 5), await idOf('user', 5)],
        [await idOf('attempt', 4), await idOf('user', 4)],
      ]),
    )
  })

  test('are deleted with their user, and nobody else loses a row', async () => {
    const { db } = database
    const userId = await idOf('user', 3)
    await db.execute(sql`delete from users where id = ${userId}`)
    for (const table of [connectedAccounts, oauthTokens, orphanedTokens, tweets, connectAttempts])
      expect(await db.$count(table, eq(table.userId, userId))).toBe(0)
    expect(await db.$count(tweets)).toBe(ACCOUNTS - 1)
    expect(await db.$count(connectAttempts)).toBe(3)
  })
})
