// Applies migrations beside gateways that serve. Those of before the first release run in one
// transaction. Each later one is a transaction of its own that waits for a lock for a second at
// most and is tried again, or runs in steps, each of which can be repeated: drizzle/README.md has
// the rules.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { z } from 'zod'
import { StartupError } from '../process/startup-error.ts'
import { type Db, queryRows } from './client.ts'
import { runAgainIfRolledBack } from './rolled-back.ts'
import { isContended } from './violations.ts'

/** The number of the first migration that the rules of drizzle/README.md hold for. */
export const FIRST_BY_RULES = 46

/** A migration of `drizzle/`. */
export type Migration = {
  /** As its file's name, without the extension. */
  tag: string
  number: number
  statements: readonly string[]
  hash: string
  /** Its place among the applied ones, by which they are compared. */
  createdAt: number
  /** True for one that runs in steps, outside of a transaction. */
  inSteps: boolean
  /**
   * For a contract migration, the `createdAt` of the newest migration that a release has to know to
   * work after it.
   */
  needs: number | null
}

type Runner = Pick<Db, 'execute'> & { transaction: (work: (db: Pick<Db, 'execute'>) => Promise<void>) => Promise<void> }

/** The options of tests. */
export type MigrationOptions = {
  folder?: string
  /** Called before each statement of a migration by the rules. */
  beforeStep?: (statement: string) => Promise<void> | void
}

const ownFolder = path.join(import.meta.dirname, '../../drizzle')
// A waiting statement makes later ones wait: requests give up after two seconds.
const LOCK_SECONDS = 1
const LOCK_TRIES = 60
const PAUSE_MILLISECONDS = 2_000
const BATCH_PAUSE_MILLISECONDS = 20

/** Reads the migrations of this release, in their order. */
export function readMigrations(folder = ownFolder): Migration[] {
  const { entries } = journalShape.parse(JSON.parse(readFileSync(path.join(folder, 'meta/_journal.json'), 'utf8')))
  const known = new Map(entries.map(({ tag, when }) => [tag, when]))
  return readMigrationFiles({ migrationsFolder: folder }).map(({ sql: statements, hash, folderMillis }, index) => {
    const tag = entries[index]?.tag ?? ''
    const text = statements.join('\n')
    const expanded = CONTRACT.exec(text)?.[1]
    const needs = expanded === undefined ? null : known.get(expanded)
    if (needs === undefined) throw new Error(`Bug: ${tag} needs ${expanded}, which is no migration`)
    return {
      tag,
      number: Number(tag.slice(0, 4)),
      statements: statements.filter((statement) => statement.trim() !== ''),
      hash,
      createdAt: folderMillis,
      inSteps: IN_STEPS.test(text),
      needs,
    }
  })
}

const journalShape = z.object({ entries: z.array(z.object({ tag: z.string(), when: z.number() })) })
const IN_STEPS = /^-- in steps$/m
const CONTRACT = /^-- contract: needs (\w+)$/m
const IN_BATCHES = /^-- in batches$/m
const CONCURRENT_INDEX = /^create (?:unique )?index concurrently if not exists "(\w+)"/im

/**
 * Applies these migrations in their order. The caller has locked the migrations, and the table of
 * the applied ones exists.
 * @param isEmbedded true for PGlite, which has one session: nobody is there to be concurrent with.
 * @throws StartupError when a table stays locked; what is complete stays, and the next start goes
 * on.
 */
export async function applyMigrations(
  db: Runner,
  pending: readonly Migration[],
  isEmbedded: boolean,
  { beforeStep = () => {} }: MigrationOptions = {},
): Promise<void> {
  for (const migration of pending) {
    if (migration.inSteps) await applyInSteps(db, migration, isEmbedded, beforeStep)
    else await applyInTransaction(db, migration, beforeStep)
  }
}

/** Records that a migration is applied, in the transaction of `db` if it is one. */
export async function recordMigration(db: Pick<Db, 'execute'>, { hash, createdAt, needs }: Migration): Promise<void> {
  if (needs === null)
    await db.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${createdAt})`)
  else
    await db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at, needs) values (${hash}, ${createdAt}, ${needs})`,
    )
}

/**
 * Returns whether a release whose newest migration is `known` works with the tables: newer
 * migrations leave what it uses, unless one of them says that it does not.
 */
export async function worksWithRelease(db: Pick<Db, 'execute'>, known: number): Promise<boolean> {
  // The column is there since the first contract migration.
  const [row] = await queryRows(
    db,
    sql`select coalesce(max((to_jsonb(m) ->> 'needs')::bigint), 0) <= ${known}::bigint as works from drizzle.__drizzle_migrations m`,
  )
  return row?.works === true
}

async function applyInTransaction(
  db: Runner,
  migration: Migration,
  beforeStep: NonNullable<MigrationOptions['beforeStep']>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await db.transaction(async (db) => {
        await db.execute(sql.raw(`set local lock_timeout = '${LOCK_SECONDS}s'`))
        for (const statement of migration.statements) {
          await beforeStep(statement)
          await db.execute(sql.raw(statement))
        }
        if (migration.needs !== null)
          await db.execute(sql`alter table drizzle.__drizzle_migrations add column if not exists needs bigint`)
        await recordMigration(db, migration)
      })
    } catch (error) {
      // A deadlock with requests, too: it locks several tables, and they in another order.
      if (!isContended(error)) throw error
      if (tries === LOCK_TRIES)
        throw new StartupError(
          `The migration ${migration.tag} could not lock a table in ${LOCK_TRIES} tries of ${LOCK_SECONDS} s, since another session is using it. Find the sessions with select pid, state, xact_start, query from pg_stat_activity where xact_start is not null; let them finish or end them, and start again. What was complete before stays.`,
          1,
        )
      await sleep(PAUSE_MILLISECONDS * (0.5 + Math.random()))
    }
  }
}

// Each statement can be repeated, so that a killed process needs to leave no note of where it was.
async function applyInSteps(
  db: Runner,
  migration: Migration,
  isEmbedded: boolean,
  beforeStep: NonNullable<MigrationOptions['beforeStep']>,
): Promise<void> {
  // No request waits for such a statement, so it may wait for long transactions.
  await db.execute(sql.raw('set lock_timeout = 0'))
  for (const statement of migration.statements) {
    await beforeStep(statement)
    const index = CONCURRENT_INDEX.exec(statement)?.[1]
    if (index !== undefined) await runAgainIfRolledBack(() => createIndex(db, index, statement, isEmbedded))
    else if (IN_BATCHES.test(statement)) await runInBatches(db, statement)
    // VALIDATE CONSTRAINT and DROP INDEX CONCURRENTLY, which no request waits for.
    else await runAgainIfRolledBack(() => db.execute(sql.raw(isEmbedded ? withoutConcurrently(statement) : statement)))
  }
  await recordMigration(db, migration)
}

// A process or server that ended meanwhile has left an index that is maintained and not used.
async function createIndex(db: Runner, name: string, statement: string, isEmbedded: boolean): Promise<void> {
  if (isEmbedded) return void (await db.execute(sql.raw(withoutConcurrently(statement))))
  const [invalid] = await queryRows(
    db,
    sql`select 1 as found from pg_index where indexrelid = to_regclass(${`public.${name}`}) and not indisvalid`,
  )
  if (invalid !== undefined) await db.execute(sql.raw(`drop index concurrently if exists public."${name}"`))
  await db.execute(sql.raw(statement))
}

function withoutConcurrently(statement: string): string {
  return statement.replace(/\bconcurrently\b/gi, '')
}

// Each batch is a transaction of its own; pauses leave the processor and the disk to requests.
async function runInBatches(db: Runner, statement: string): Promise<void> {
  for (;;) {
    const rows = await runAgainIfRolledBack(() => queryRows(db, sql.raw(statement)))
    if (rows.length === 0) return
    await sleep(BATCH_PAUSE_MILLISECONDS)
  }
}
