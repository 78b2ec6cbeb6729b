// The deletion of a user with half a year of a busy bot. No statement grows with what the user has,
// so that none reaches the time limit of statements.
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { openForLong } from '../../../src/db/client.ts'
import { DELETION_BATCH } from '../../../src/users/deletion-batches.ts'
import { connectAccount, queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { addHistory } from '../../support/long-history.ts'
import { untilDeleted, untilNoRows } from '../../support/user-deletion.ts'
import { countWrittenRows } from '../../support/written-rows.ts'

const HISTORY = { tweets: 350_000, events: 30_000, deliveries: 10_000, keys: 10_000 }
// The user, the identity, the login, the deletion, and at most ten webhook endpoints.
const MAX_REQUEST_ROWS = 14

/** The rows of tweets that statements have read so far. */
async function countReadTweets(world: World): Promise<number> {
  await world.db().execute(sql`select pg_stat_force_next_flush()`)
  const [read] = await queryRows(
    world,
    sql`select seq_tup_read + idx_tup_fetch as rows from pg_stat_user_tables where relname = 'tweets'`,
  )
  return Number(read?.rows)
}

/** The entries of the primary key of the tweets that scans have returned so far, also those of deleted rows. */
async function countReadEntries(world: World): Promise<number> {
  await world.db().execute(sql`select pg_stat_force_next_flush()`)
  const [read] = await queryRows(
    world,
    sql`select sum(idx_tup_read)::int as entries from pg_stat_user_indexes where relname = 'tweets'`,
  )
  return Number(read?.entries)
}

/**
 * Keeps a snapshot, as a backup does, so that deleted rows stay meanwhile. PGlite has one connection,
 * which it would keep from the gateway.
 * @returns a function that ends it.
 */
async function keepSnapshot(world: World): Promise<() => Promise<void>> {
  const { source } = world.database()
  if (source.kind === 'pglite') return async () => {}
  const { db, close } = await openForLong(source)
  await db.execute(sql`begin isolation level repeatable read`)
  await db.execute(sql`select count(*) from users`)
  return close
}

test('L-09 350,000 tweets are deleted in batches, and the request writes a few rows', {
  timeout: 300_000,
}, async () => {
  const world = await startWorld()
  onTestFinished(() => world.close())
  const { person, id: accountId, userId } = await connectAccount(world)
  await addHistory(world, { userId, accountId }, HISTORY)
  const readWritten = await countWrittenRows(world)
  const before = await countReadTweets(world)
  const entriesBefore = await countReadEntries(world)
  const endSnapshot = await keepSnapshot(world)
  const { deleteViewer } = await person.api('delete-viewer', { input: { login: 'mara-holt' } })
  expect(deleteViewer).toMatchObject({ deletion: { status: 'DELETING' }, userErrors: [] })
  await untilDeleted(world, deleteViewer.deletion?.id ?? '', 240)
  await endSnapshot()
  // A batch reads its rows alone: once to find them, once to delete them.
  const read = (await countReadTweets(world)) - before
  expect(read).toBeGreaterThanOrEqual(HISTORY.tweets)
  expect(read / HISTORY.tweets).toBeLessThan(5)
  // No run reads again the entries of rows that an earlier one has deleted, and that no vacuum can remove.
  expect(((await countReadEntries(world)) - entriesBefore) / HISTORY.tweets).toBeLessThan(5)
  await untilNoRows(world, userId)
  const written = await readWritten()
  const deleted = written.filter(({ verb }) => verb === 'DELETE')
  expect(Math.max(...written.map(({ rows }) => rows))).toBeLessThanOrEqual(DELETION_BATCH)
  const total = (table: string) => deleted.reduce((sum, one) => sum + (one.table === table ? one.rows : 0), 0)
  expect(total('tweets')).toBe(HISTORY.tweets)
  const request = written.find(({ verb, table }) => verb === 'INSERT' && table === 'user_deletions')?.transaction
  const ofRequest = written.filter(({ transaction }) => transaction === request)
  expect(ofRequest.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThanOrEqual(MAX_REQUEST_ROWS)
  // The user is deleted alone: no foreign key finds rows that are left.
  const last = written.find(({ verb, table }) => verb === 'DELETE' && table === 'users')?.transaction
  const ofLast = deleted.filter(({ transaction }) => transaction === last)
  expect(ofLast.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThan(10)
})
