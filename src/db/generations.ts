// The generations of the database. A restored backup and a standby that was promoted before it had
// received everything lack the newest commits: spent refresh tokens and idempotency keys of posted
// tweets come back. Each such restore begins a generation, by which tokens and keys of before are
// treated with care (accounts/restored-tokens.ts, tweets/restored-posts.ts).
import { and, asc, desc, eq, gt, sql } from 'drizzle-orm'
import type { Log } from '../telemetry/log.ts'
import { runBatches } from './batches.ts'
import { type Db, queryRows } from './client.ts'
import type { Clock } from './clock.ts'
import { eventPositions, events, generations, OPERATOR_ID, oauthTokens } from './tables.ts'

/** A restore: what was written from `lostSince` to `restoredAt` may be missing. */
export type Restore = { generation: number; restoredAt: Date; lostSince: Date }

/** The restores of this database, as one process knows them. */
export type Generations = {
  /**
   * Returns the restores, newest first; none in a database that was never restored. Begins a
   * generation when PostgreSQL says that this is another database than before.
   */
  read(): Promise<readonly Restore[]>
  /** The same, at most two seconds old: no standby is promoted in less. */
  readRecent(): Promise<readonly Restore[]>
}

/** The positions of a generation's events begin at its number, less one, times this. */
export const POSITIONS_PER_GENERATION = 100_000_000_000

const KEPT_MILLISECONDS = 2_000
// A transaction may have begun that long before its commit, and a tweet is sent up to a minute
// after its claim.
const MARGIN_SECONDS = 120
const MOVED_AT_ONCE = 500

// A restored dump is another database, a database of another cluster, or both. Recovery to a point
// in time and the promotion of a standby begin a timeline. Both functions may be called by every
// role.
const LINEAGE = sql`((select system_identifier from pg_control_system())::text
  || '/' || (select oid from pg_database where datname = current_database())
  || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))`

type GenerationDeps = { db: Db; clock: Clock; log: Log }

/** Creates what one process knows of the generations. */
export function createGenerations(deps: GenerationDeps): Generations {
  let known: { restores: readonly Restore[]; at: number } | null = null
  const read = async () => {
    const at = performance.now()
    const restores = await readGenerations(deps)
    known = { restores, at }
    return restores
  }
  const readRecent = async () =>
    known !== null && performance.now() - known.at < KEPT_MILLISECONDS ? known.restores : read()
  return { read, readRecent }
}

/**
 * Inserts the first generation of a new database, and begins one in a database that was restored.
 * Call it at the start, before the database is used.
 */
export async function checkGeneration(deps: GenerationDeps): Promise<void> {
  await insertFirst(deps.db)
  await readGenerations(deps)
  // Another instance may have been killed before it had moved them all.
  const unmoved = await deps.db
    .select({ generation: generations.generation })
    .from(generations)
    .where(and(eq(generations.positionsMoved, false), gt(generations.generation, 1)))
    .orderBy(asc(generations.generation))
  for (const { generation } of unmoved) await moveEventPositions(deps.db, generation)
}

/**
 * Begins a generation, and moves the positions of events. Tokens and keys of before are treated
 * with care as soon as the row is committed.
 * @param lostSince when the backup was made; null for the time of the newest row that tells of it.
 */
export async function beginGeneration(
  deps: Pick<GenerationDeps, 'db' | 'clock'>,
  lostSince: Date | null,
): Promise<Restore> {
  const { db, clock } = deps
  await insertFirst(db)
  const since = lostSince ?? (await findNewestMoment(db))
  const [begun] = await db
    .insert(generations)
    .select(
      sql`select coalesce(max(generation), 0) + 1, ${LINEAGE}, moment.now, least(moment.now, ${since?.toISOString() ?? null}::timestamptz), null::uuid,
        null::timestamptz, 0, 0, null::timestamptz, false from ${generations}, (select ${clock.sqlNow()} as now) as moment group by moment.now`,
    )
    .onConflictDoNothing()
    .returning()
  // Another instance has begun it at the same moment.
  const restore = begun === undefined ? (await listRestores(db))[0] : toRestore(begun)
  if (restore === undefined || restore === null) throw new Error('Bug: no generation was begun')
  await moveEventPositions(db, restore.generation)
  return restore
}

/**
 * Records that nothing was lost by the newest restore, so that nothing has to be treated with care.
 */
export async function declareNothingLost({ db }: Pick<GenerationDeps, 'db'>): Promise<boolean> {
  const [newest] = await db.select().from(generations).orderBy(desc(generations.generation)).limit(1)
  if (newest === undefined || newest.restoredAt === null) return false
  const { generation } = newest
  await db.update(generations).set({ restoredAt: null, lostSince: null }).where(eq(generations.generation, generation))
  return true
}

/** Makes a copied database one of its own, of which nothing was lost. */
export async function adoptLineage(db: Db): Promise<void> {
  await db.update(generations).set({ lineage: sql`${LINEAGE}` })
}

async function insertFirst(db: Db): Promise<void> {
  await db
    .insert(generations)
    .values({ generation: 1, lineage: sql`${LINEAGE}` })
    .onConflictDoNothing()
}

async function readGenerations(deps: GenerationDeps): Promise<readonly Restore[]> {
  const rows = await listGenerations(deps.db)
  const [newest] = rows
  if (newest === undefined || newest.lineage === newest.current) return rows.flatMap((row) => toRestore(row) ?? [])
  const restore = await beginGeneration(deps, null)
  deps.log.warn(
    { ...restore, lineage: newest.current, earlierLineage: newest.lineage },
    'PostgreSQL was restored or failed over: refresh tokens of before are tried one at a time, and tweets are looked for before they are posted. If nothing was lost, run xconnect database restored --nothing-lost',
  )
  return listRestores(deps.db)
}

function listGenerations(db: Db) {
  return db
    .select({
      generation: generations.generation,
      lineage: generations.lineage,
      restoredAt: generations.restoredAt,
      lostSince: generations.lostSince,
      current: sql<string>`${LINEAGE}`,
    })
    .from(generations)
    .orderBy(desc(generations.generation))
}

async function listRestores(db: Db): Promise<readonly Restore[]> {
  return (await listGenerations(db)).flatMap((row) => toRestore(row) ?? [])
}

function toRestore({
  generation,
  restoredAt,
  lostSince,
}: Pick<typeof generations.$inferSelect, 'generation' | 'restoredAt' | 'lostSince'>): Restore | null {
  return restoredAt === null || lostSince === null ? null : { generation, restoredAt, lostSince }
}

// PostgreSQL knows until it is restarted which commit a promoted standby has received last.
// Otherwise the newest event or refresh counts: each post and each new token pair leaves one.
async function findNewestMoment(db: Db): Promise<Date | null> {
  const [event] = await db.select({ at: events.occurredAt }).from(events).orderBy(desc(events.occurredAt)).limit(1)
  const [refresh] = await db
    .select({ at: oauthTokens.lastEventAt })
    .from(oauthTokens)
    // As in the condition of the index `oauth_tokens_conclusive`.
    .where(sql`${oauthTokens.lastEvent} in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_CREDENTIALS_REJECTED', 'REFUSED')`)
    .orderBy(desc(oauthTokens.lastEventAt))
    .limit(1)
  const newest = Math.max(...[event, refresh].flatMap((row) => row?.at.getTime() ?? []))
  if (!Number.isFinite(newest)) return null
  const [replayed] = await queryRows(
    db,
    sql`select extract(epoch from pg_last_xact_replay_timestamp())::float8 as seconds`,
  )
  const last = typeof replayed?.seconds === 'number' ? Math.min(newest, replayed.seconds * 1000) : newest
  return new Date(last - MARGIN_SECONDS * 1000)
}

/**
 * Moves the positions of all users on to those of a generation, in batches: a position that was
 * lost is not given to another event. A reader that has seen lost events is told by the position
 * before (events/read.ts).
 */
async function moveEventPositions(db: Db, generation: number): Promise<void> {
  const first = (generation - 1) * POSITIONS_PER_GENERATION
  // The operator has the lowest id.
  let after: string = OPERATOR_ID
  await movePositionsOf(db, [after], first)
  await runBatches(MOVED_AT_ONCE, async () => {
    const page = await db
      .select({ userId: eventPositions.userId })
      .from(eventPositions)
      .where(gt(eventPositions.userId, after))
      .orderBy(asc(eventPositions.userId))
      .limit(MOVED_AT_ONCE)
    const userIds = page.map(({ userId }) => userId)
    await movePositionsOf(db, userIds, first)
    after = userIds.at(-1) ?? after
    return page.length
  })
  await db.update(generations).set({ positionsMoved: true }).where(eq(generations.generation, generation))
}

async function movePositionsOf(db: Db, userIds: readonly string[], first: number): Promise<void> {
  await db
    .update(eventPositions)
    .set({ restoredPosition: sql`${eventPositions.position}`, position: sql`${first}::bigint` })
    .where(
      sql`${eventPositions.userId} in (select unnest(${`{${userIds.join(',')}}`}::text::uuid[])) and ${eventPositions.position} < ${first}::bigint`,
    )
}
