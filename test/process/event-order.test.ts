/**
 * A reader that has read events up to a position never finds an earlier one later, even with
 * overlapping transactions.
 */
import { asc, gt, sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Database, type Db, openPostgres, queryRows } from '../../src/db/client.ts'
import { systemClock } from '../../src/db/clock.ts'
import { events } from '../../src/db/tables.ts'
import { recordEvent } from '../../src/events/events.ts'
import { createTestDatabase } from '../support/database.ts'

async function open() {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  const kept = resources.move()
  return { ...opened, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Starts a transaction that has written an event with this reason, and commits on request. */
async function begin({ db }: Database, reason: string): Promise<{ commit(): Promise<void> }> {
  const written = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const committed = db.transaction(async (db) => {
    await record(db, reason)
    written.resolve()
    await told.promise
  })
  await Promise.race([written.promise, committed])
  return {
    commit: () => {
      told.resolve()
      return committed
    },
  }
}

function record(db: Db, ...reasons: string[]): Promise<void> {
  return recordEvent(
    { db, clock: systemClock },
    ...reasons.map((reason) => ({ type: 'session.started' as const, userId: null, reason })),
  )
}

/** Returns what a reader finds after `position`. */
function readAfter(db: Db, position: number) {
  return db.select().from(events).where(gt(events.position, position)).orderBy(asc(events.position))
}

test('an event of a transaction that began first and commits last comes last', async () => {
  await using database = await open()
  const slow = await begin(database, 'SLOW')
  const quick = await begin(database, 'QUICK')
  expect(await readAfter(database.db, 0)).toEqual([])
  await quick.commit()
  const seen = await readAfter(database.db, 0)
  expect(seen.map(({ reason }) => reason)).toEqual(['QUICK'])
  await slow.commit()
  const resumed = await readAfter(database.db, seen[0]?.position ?? 0)
  expect(resumed.map(({ reason }) => reason)).toEqual(['SLOW'])
})

test('a commit that has its position but is not yet visible hides later ones until it is', async () => {
  await using database = await open()
  const { db } = database
  await db.execute(
    sql`create function dawdle() returns trigger language plpgsql as $$ begin if new.reason = 'SLOW' then perform pg_sleep(1); end if; return null; end $$`,
  )
  // Deferred triggers fire in the order of their names: this one after the one that assigns the
  // position.
  await db.execute(
    sql`create constraint trigger events_z_dawdle after insert on events deferrable initially deferred for each row execute function dawdle()`,
  )
  const waiting = (event: string) =>
    expect
      .poll(
        () =>
          queryRows(
            db,
            sql`select pid from pg_stat_activity where datname = current_database() and wait_event = ${event}`,
          ),
        { interval: 5, timeout: 15_000 },
      )
      .toHaveLength(1)
  const slow = await begin(database, 'SLOW')
  const quick = await begin(database, 'QUICK')
  const slowCommit = slow.commit()
  await waiting('PgSleep')
  const quickCommit = quick.commit()
  await waiting('advisory')
  expect(await readAfter(db, 0)).toEqual([])
  await Promise.all([slowCommit, quickCommit])
  expect((await readAfter(db, 0)).map(({ reason }) => reason)).toEqual(['SLOW', 'QUICK'])
})

test('a reader that resumes repeatedly while eight transactions write sees every event once, in order', async () => {
  await using database = await open()
  const { db } = database
  const writers = Array.from({ length: 8 }, (_, writer) => writer)
  let writing = true
  const written = Promise.all(
    writers.map(async (writer) => {
      for (let round = 0; round < 40; round++) {
        await db.transaction(async (db) => {
          await record(db, `W${writer}_R${round}_A`)
          await db.execute(sql`select pg_sleep(${Math.random() / 100})`)
          await record(db, `W${writer}_R${round}_B`)
        })
      }
    }),
  ).finally(() => {
    writing = false
  })
  const seen: (string | null)[] = []
  let position = 0
  let resumptions = 0
  for (let last = false; !last; ) {
    last = !writing
    const page = await readAfter(db, position)
    seen.push(...page.map(({ reason }) => reason))
    position = page.at(-1)?.position ?? position
    if (page.length > 0) resumptions += 1
  }
  await written
  expect(resumptions).toBeGreaterThan(10)
  expect(seen).toHaveLength(writers.length * 40 * 2)
  expect(new Set(seen).size).toBe(seen.length)
  for (const writer of writers) {
    const own = seen.filter((reason) => reason?.startsWith(`W${writer}_`))
    expect(own).toEqual(
      Array.from({ length: 40 }, (_, round) => [`W${writer}_R${round}_A`, `W${writer}_R${round}_B`]).flat(),
    )
  }
})

test('an event of a failed transaction does not exist', async () => {
  await using database = await open()
  const { db } = database
  const failing = db.transaction(async (db) => {
    await record(db, 'NEVER')
    await db.transaction(async (inner) => {
      await record(inner, 'NEVER_EITHER')
      throw new Error('Rolled back')
    })
  })
  await expect(failing).rejects.toThrow('Rolled back')
  await record(db, 'EVER')
  expect((await db.select().from(events)).map(({ reason }) => reason)).toEqual(['EVER'])
})
