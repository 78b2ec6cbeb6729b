/**
 * A reader that has read a user's events up to a position never finds an earlier one later, even
 * with overlapping transactions; and the events of one user wait for no other user.
 */
import { and, asc, eq, gt, sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Database, type Db, openPostgres, queryRows } from '../../src/db/client.ts'
import { systemClock } from '../../src/db/clock.ts'
import { events, OPERATOR_ID, users } from '../../src/db/tables.ts'
import { transaction } from '../../src/deps.ts'
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

type Deps = { db: Db; clock: typeof systemClock }

/** Starts a transaction that has recorded an event with this reason, and commits on request. */
async function begin({ db }: Database, reason: string, userId = OPERATOR_ID): Promise<{ commit(): Promise<void> }> {
  const written = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  const committed = transaction({ db, clock: systemClock }, async (deps) => {
    await record(deps, userId, reason)
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

function record(deps: Deps, userId: string, ...reasons: string[]): Promise<void> {
  return recordEvent(deps, ...reasons.map((reason) => ({ type: 'session.started' as const, userId, reason })))
}

/** Returns what a reader of a user's events finds after `position`. */
function readAfter(db: Db, position: number, userId = OPERATOR_ID) {
  return db
    .select()
    .from(events)
    .where(and(eq(events.userId, userId), gt(events.position, position)))
    .orderBy(asc(events.position))
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
  // A deferred trigger runs inside COMMIT, when the position is assigned.
  await db.execute(
    sql`create constraint trigger dawdle after insert on events deferrable initially deferred for each row execute function dawdle()`,
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
  const [other] = await db.insert(users).values({ githubId: 7, login: 'other' }).returning()
  const otherId = other?.id ?? ''
  const slow = await begin(database, 'SLOW')
  const quick = await begin(database, 'QUICK')
  const elsewhere = await begin(database, 'ELSEWHERE', otherId)
  const slowCommit = slow.commit()
  await waiting('PgSleep')
  const quickCommit = quick.commit()
  await waiting('transactionid')
  // Another user's events do not wait.
  await elsewhere.commit()
  expect(await readAfter(db, 0)).toEqual([])
  expect((await readAfter(db, 0, otherId)).map(({ reason }) => reason)).toEqual(['ELSEWHERE'])
  await Promise.all([slowCommit, quickCommit])
  expect((await readAfter(db, 0)).map(({ reason }) => reason)).toEqual(['SLOW', 'QUICK'])
})

test('a reader that resumes repeatedly while eight transactions write sees every event once, in order', async () => {
  await using database = await open()
  const { db } = database
  const writers = Array.from({ length: 8 }, (_, writer) => writer)
  let writing = true
  let resumptions = 0
  const written = Promise.all(
    writers.map(async (writer) => {
      for (let round = 0; round < 40; round++) {
        // So that the reader resumes more than ten times, however slow it is.
        await expect
          .poll(() => resumptions, { interval: 1, timeout: 60_000 })
          .toBeGreaterThanOrEqual(Math.min(round, 11))
        await transaction({ db, clock: systemClock }, async (deps) => {
          await record(deps, OPERATOR_ID, `W${writer}_R${round}_A`)
          await deps.db.execute(sql`select pg_sleep(${Math.random() / 100})`)
          await record(deps, OPERATOR_ID, `W${writer}_R${round}_B`)
        })
      }
    }),
  ).finally(() => {
    writing = false
  })
  const seen: (string | null)[] = []
  let position = 0
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
  const clock = systemClock
  const failing = transaction({ db, clock }, async (deps) => {
    await record(deps, OPERATOR_ID, 'NEVER')
    await transaction(deps, async (deps) => {
      await record(deps, OPERATOR_ID, 'NEVER_EITHER')
      throw new Error('Rolled back')
    })
  })
  await expect(failing).rejects.toThrow('Rolled back')
  await transaction({ db, clock }, async (deps) => {
    const savepoint = transaction(deps, async (deps) => {
      await record(deps, OPERATOR_ID, 'NEVER')
      throw new Error('Rolled back to the savepoint')
    })
    await expect(savepoint).rejects.toThrow('Rolled back to the savepoint')
    await transaction(deps, (deps) => record(deps, OPERATOR_ID, 'EVER'))
    await record(deps, OPERATOR_ID, 'AFTER')
  })
  const found = await readAfter(db, 0)
  expect(found.map(({ reason, position }) => [position, reason])).toEqual([
    [1, 'EVER'],
    [2, 'AFTER'],
  ])
})
