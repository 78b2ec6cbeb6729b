// Slices of rate limits: what several instances grant together, and how many statements that costs.
// The clocks stand still unless a test moves them.
import { eq, sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { defaultRateLimits } from '../../../src/config/rate-limits.ts'
import { type Database, openDatabase } from '../../../src/db/client.ts'
import { rateLimits } from '../../../src/db/tables.ts'
import { createDeps, type Deps, transaction } from '../../../src/deps.ts'
import { AppError } from '../../../src/errors.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createRateLimitBuckets } from '../../../src/process/rate-limit-buckets.ts'
import { createCombinedLimiter } from '../../../src/rate-limit/combined-limiter.ts'
import { createRateLimiter } from '../../../src/rate-limit/limiter.ts'
import { returnSlices } from '../../../src/rate-limit/rows.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { withStatementLog } from '../../support/statements/logged-database.ts'

const LIMIT = 100
const UNIT_SECONDS = 36
const WINDOW_SECONDS = LIMIT * UNIT_SECONDS

let files: TestDatabase
let database: Database
let seconds = 1_900_000_000
let subjects = 0
const queries: string[] = []
beforeAll(async () => {
  files = await createTestDatabase()
  database = await openDatabase(parseConfig(files.environment).database)
})
afterAll(async () => {
  await database.close()
  await files.remove()
})

/** Opens an instance of the limiter on the database. */
function open(limit = LIMIT, windowSeconds = WINDOW_SECONDS): Deps {
  const now = () => new Date(seconds * 1000)
  const policy = { limit, windowSeconds }
  const config = parseConfig(files.environment)
  const rateLimits = Object.fromEntries(Object.keys(defaultRateLimits).map((name) => [name, policy]))
  return createDeps({
    db: withStatementLog(database, (text) => queries.push(text)).db,
    config: { ...config, rateLimits: { ...defaultRateLimits, ...rateLimits } },
    clock: { now, sqlNow: () => sql<Date>`to_timestamp(${seconds}::float8)` },
    rateLimitBuckets: createRateLimitBuckets(now, { monotonicMilliseconds: () => 0 }),
    log: createLog('error', { write: () => {} }),
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress: createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 1 }),
    eventNotifier: { notify: () => {}, end: async () => {} },
  })
}

const newSubject = () => `subject ${++subjects}`

/** Consumes, and returns the state with whether it was granted. */
async function consume(deps: Deps, subject: string, cost = 1, name: 'user' | 'post' = 'user') {
  const limiter = createRateLimiter(deps, name, subject)
  let isGranted = true
  try {
    await limiter.consume(cost)
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'RATE_LIMITED')) throw error
    isGranted = false
  }
  const state = limiter.lastResult()
  if (state === null) throw new Error('Bug: there are limits')
  return { isGranted, ...state }
}

/** Returns the queries that are sent during `work`. */
async function queriesOf(work: () => Promise<unknown>): Promise<string[]> {
  const before = queries.length
  await work()
  return queries.slice(before)
}

/** The units that the row has left; the whole limit without a row. */
async function readRemaining(subject: string): Promise<number> {
  const [row] = await database.db.select().from(rateLimits).where(eq(rateLimits.subject, subject))
  return LIMIT - Math.max((row?.fullAt ?? 0) - seconds, 0) / UNIT_SECONDS
}

/** GCRA without slices: grants what one instance must grant. */
function createModel() {
  let fullAt = 0
  return (cost: number) => {
    const next = Math.max(fullAt, seconds) + cost * UNIT_SECONDS
    const isGranted = next <= seconds + WINDOW_SECONDS + 0.001
    if (isGranted) fullAt = next
    const resetInSeconds = Math.max(fullAt - seconds, 0)
    return { isGranted, remaining: Math.floor(LIMIT - resetInSeconds / UNIT_SECONDS + 0.01), resetInSeconds }
  }
}

const moves = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: WINDOW_SECONDS }))
const costs = fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: LIMIT }))

describe('K-07 one instance', () => {
  test('grants and refuses as if each request asked the row, and names what remains', async () => {
    const step = fc.record({ move: moves, cost: costs, restarts: fc.nat(9).map((number) => number === 0) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const subject = newSubject()
        const model = createModel()
        let deps = open()
        for (const { move, cost, restarts } of steps) {
          seconds += move
          const { isGranted, remaining, resetInSeconds } = await consume(deps, subject, cost)
          const expected = model(cost)
          expect({ isGranted, remaining }).toEqual({ isGranted: expected.isGranted, remaining: expected.remaining })
          expect(resetInSeconds).toBeCloseTo(expected.resetInSeconds, 2)
          if (!restarts || expected.remaining < LIMIT / 10) continue
          await returnSlices(deps)
          deps = open()
        }
      }),
      { numRuns: 30 },
    )
  })

  test('sends one statement for a tenth of what is left, and none for a refusal until its time is over', async () => {
    const [deps, subject] = [open(), newSubject()]
    const sent: number[] = []
    for (let call = 0; call < LIMIT; call++) sent.push((await queriesOf(() => consume(deps, subject))).length)
    expect(sent.slice(0, 19)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(sent.slice(-18)).toEqual(Array(18).fill(1))

    // An instance that does not know the bucket finds out once.
    const other = open()
    const refuse = async () => expect(await consume(other, subject)).toMatchObject({ isGranted: false, remaining: 0 })
    expect(await queriesOf(refuse)).toHaveLength(2)
    const further = await queriesOf(async () => {
      for (const move of [0, UNIT_SECONDS - 1]) {
        seconds += move
        await refuse()
        const refused = await Promise.all(Array.from({ length: 50 }, () => consume(deps, subject)))
        expect(new Set(refused.map(({ isGranted }) => isGranted))).toEqual(new Set([false]))
        expect(new Set(refused.map(({ retryInSeconds }) => Math.round(retryInSeconds ?? 0)))).toEqual(
          new Set([move === 0 ? UNIT_SECONDS : 1]),
        )
      }
    })
    expect(further).toEqual([])
    seconds += 1
    expect(await consume(deps, subject)).toMatchObject({ isGranted: true, remaining: 0 })
  })

  test('sends one statement for callers at once that find no slice', async () => {
    const [deps, subject] = [open(), newSubject()]
    const sent = await queriesOf(() => Promise.all(Array.from({ length: 10 }, () => consume(deps, subject))))
    expect(sent).toHaveLength(1)
    expect(await readRemaining(subject)).toBeCloseTo(LIMIT - 10)
  })

  test('asks once more for the callers that waited for a statement that has failed', async () => {
    const [deps, subject] = [open(), newSubject()]
    let isLost = true
    const db = new Proxy(deps.db, {
      get: (target, name) => {
        if (name !== 'execute' || !isLost) return Reflect.get(target, name, target)
        isLost = false
        return () => Promise.reject(new Error('The response is lost'))
      },
    })
    const callers = Array.from({ length: 10 }, () => consume({ ...deps, db }, subject))
    const statuses = (await Promise.allSettled(callers)).map(({ status }) => status)
    expect(statuses).toEqual(['rejected', ...Array(9).fill('fulfilled')])
    expect(await readRemaining(subject)).toBeCloseTo(LIMIT - 10)
  })

  test('takes the units of tweets one by one, and remembers a refusal of them too', async () => {
    const [deps, subject] = [open(3, 3 * UNIT_SECONDS), newSubject()]
    for (const remaining of [2, 1, 0])
      expect(
        await queriesOf(async () => expect(await consume(deps, subject, 1, 'post')).toMatchObject({ remaining })),
      ).toHaveLength(1)
    expect(await consume(deps, subject, 1, 'post')).toMatchObject({ isGranted: false })
    const again = await queriesOf(async () =>
      expect(await consume(deps, subject, 1, 'post')).toMatchObject({ isGranted: false, remaining: 0 }),
    )
    expect(again).toEqual([])
  })

  test('does not remember what a transaction has consumed that is rolled back', async () => {
    const [deps, subject] = [open(1, UNIT_SECONDS), newSubject()]
    const failed = transaction(deps, async (deps) => {
      await consume(deps, subject, 1, 'post')
      throw new Error('rolled back')
    })
    await expect(failed).rejects.toThrow('rolled back')
    expect(await consume(deps, subject, 1, 'post')).toMatchObject({ isGranted: true })
  })

  test('loses its slice with a statement whose outcome is unknown, and no caller waits for ever', async () => {
    const [deps, subject] = [open(), newSubject()]
    await consume(deps, subject)
    await database.db.execute(sql`alter table rate_limits rename to mislaid`)
    let failed: PromiseSettledResult<unknown>[] = []
    const sent = await queriesOf(async () => {
      failed = await Promise.allSettled(Array.from({ length: 50 }, () => consume(deps, subject, 20)))
    })
    await database.db.execute(sql`alter table mislaid rename to rate_limits`)
    expect(failed.map(({ status }) => status)).toEqual(Array(50).fill('rejected'))
    // One after the other, each would wait for the deadline of a database that hangs.
    expect(sent).toHaveLength(2)
    // The row still has the whole slice as consumed.
    expect(await consume(deps, subject)).toMatchObject({ isGranted: true, remaining: LIMIT - 11 })
  })
})

describe('K-07 three instances', () => {
  const step = fc.record({
    instance: fc.nat(2),
    move: moves,
    costs: fc.array(costs, { minLength: 1, maxLength: 5 }),
    restarts: fc.nat(9).map((number) => number === 0),
  })

  test('grant no more than the limit and a slice each, and refuse nothing that the row has', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
        const subject = newSubject()
        const instances = [open(), open(), open()]
        const granted: { at: number; cost: number }[] = []
        for (const { instance, move, costs, restarts } of steps) {
          seconds += move
          const deps = instances[instance] ?? open()
          const states = await Promise.all(costs.map((cost) => consume(deps, subject, cost)))
          for (const { isGranted, cost } of states) if (isGranted) granted.push({ at: seconds, cost })
          const least = Math.min(...states.filter(({ isGranted }) => !isGranted).map(({ cost }) => cost))
          expect(await readRemaining(subject)).toBeLessThan(least)
          if (!restarts) continue
          await returnSlices(deps)
          instances[instance] = open()
        }
        const slices = (3 * LIMIT) / 10
        for (const [index, { at }] of granted.entries()) {
          let sum = 0
          for (const later of granted.slice(index)) {
            sum += later.cost
            expect(sum).toBeLessThanOrEqual(LIMIT + (later.at - at) / UNIT_SECONDS + slices + 0.01)
          }
        }
      }),
      { numRuns: 30 },
    )
  })

  test('share a limit fairly, and grant all of it', async () => {
    const [instances, subject] = [[open(), open(), open()], newSubject()]
    const granted = [0, 0, 0]
    for (let round = 0; round < LIMIT; round++) {
      for (const [index, deps] of instances.entries())
        granted[index] = (granted[index] ?? 0) + Number((await consume(deps, subject)).isGranted)
    }
    expect(granted.reduce((sum, count) => sum + count)).toBe(LIMIT)
    for (const count of granted) expect(count).toBeGreaterThan(LIMIT / 3 - LIMIT / 10)
  })

  test('that takes most of a limit leaves the others no smaller slice than what is left', async () => {
    const [one, other, subject] = [open(), open(), newSubject()]
    await consume(other, subject)
    expect(await consume(one, subject, 80)).toMatchObject({ isGranted: true, remaining: 10 })
    // The other still believes that 90 are left. It gets its ten first.
    for (let call = 0; call < 9; call++) expect((await consume(other, subject)).isGranted).toBe(true)
    expect(await consume(other, subject)).toMatchObject({ isGranted: true, remaining: 9 })
    expect(await readRemaining(subject)).toBeCloseTo(9)
  })

  test('give back what they have not consumed when they stop, but not to a spent bucket', async () => {
    const [one, other, subject] = [open(), open(), newSubject()]
    await consume(one, subject)
    expect(await readRemaining(subject)).toBeCloseTo(LIMIT - 10)
    await returnSlices(one)
    expect(await readRemaining(subject)).toBeCloseTo(LIMIT - 1)
    await consume(one, subject)
    expect(await consume(other, subject, LIMIT - 12)).toMatchObject({ isGranted: true, remaining: 2 })
    expect(await consume(other, subject, 3)).toMatchObject({ isGranted: false })
    await returnSlices(one)
    expect(await readRemaining(subject)).toBeCloseTo(2)
  })
})

test('K-13 what one limit grants and the shared one refuses is given back', async () => {
  const deps = open()
  const [own, shared] = [newSubject(), newSubject()]
  const combined = createCombinedLimiter(deps, ['token', own], ['total', shared])
  await combined.consume(1)
  expect(combined.lastResult()).toMatchObject({ name: 'token', remaining: LIMIT - 1 })
  await createRateLimiter(deps, 'total', shared).consume(LIMIT - 1)
  for (let call = 0; call < 3; call++) {
    expect(combined.consumeHeld(1)).toBe(false)
    await expect(combined.consume(1)).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    expect(combined.lastResult()).toMatchObject({ name: 'total', remaining: 0 })
  }
  const alone = createRateLimiter(deps, 'token', own)
  await alone.consume(1)
  expect(alone.lastResult()).toMatchObject({ remaining: LIMIT - 2 })
  // The other way round nothing reaches the shared one.
  const [another, sharedByAnother] = [newSubject(), newSubject()]
  await createRateLimiter(deps, 'token', another).consume(LIMIT)
  await expect(
    createCombinedLimiter(deps, ['token', another], ['total', sharedByAnother]).consume(1),
  ).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  expect(await readRemaining(sharedByAnother)).toBe(LIMIT)
})

test('the result of two limits is that of the own one unless the shared one has less by more than the rounding of a unit', async () => {
  const deps = open()
  const shared = newSubject()
  const combined = createCombinedLimiter(deps, ['token', newSubject()], ['total', shared])
  const others = createRateLimiter(deps, 'total', shared)
  const names: (string | undefined)[] = []
  for (let call = 0; call < 3; call++) {
    await combined.consume(1)
    names.push(combined.lastResult()?.name)
    await others.consume(1)
  }
  expect(names).toEqual(['token', 'token', 'total'])
})

test('two limits need no more statements than one while their slices last', async () => {
  const deps = open()
  const combined = createCombinedLimiter(deps, ['token', newSubject()], ['total', newSubject()])
  expect(await queriesOf(() => combined.consume(1))).toHaveLength(2)
  expect(await queriesOf(() => combined.consume(1))).toEqual([])
  expect(combined.consumeHeld(1)).toBe(true)
  expect(combined.lastResult()).toMatchObject({ remaining: LIMIT - 3 })
})
