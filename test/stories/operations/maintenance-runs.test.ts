// What operators see of the scheduled tasks: the last runs in the database, and /readyz and the log
// when one falls behind.
import { randomUUID } from 'node:crypto'
import { asc, eq, sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { productionTiming } from '../../../src/config/timing.ts'
import { maintenanceTaskNames, storeMaintenanceRuns } from '../../../src/db/maintenance-runs.ts'
import { maintenanceRuns, refusedConnections } from '../../../src/db/tables.ts'
import { createTaskWatch } from '../../../src/jobs/task-watch.ts'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { runTask, sweepNow } from '../../support/sweep.ts'

const runsOf = async (world: World, task: string) =>
  (await world.db().select().from(maintenanceRuns).where(eq(maintenanceRuns.task, task)))[0]

// Runs are gathered for a second.
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 30_000, interval: 20 })

async function readProblems(world: World) {
  const response = await fetch(`${world.url}/readyz`)
  expect(response.status).toBe(200)
  return ((await response.json()) as { problems: { code: string; since: string | null; detail: string }[] }).problems
}

async function openWorld(resources: AsyncDisposableStack, timing = {}): Promise<World> {
  const { taskBehindSeconds } = productionTiming
  const world = await startWorld({}, { taskBehindSeconds, ...timing })
  resources.defer(() => world.close())
  return world
}

test('the last good run of each task is stored with its duration and the number of its rows', async () => {
  await using resources = new AsyncDisposableStack()
  const world = await openWorld(resources)
  const old = sql<Date>`now() - interval '2 days'`
  const refused = ['7001', '7002', '7003'].map((providerAccountId) => ({ providerAccountId, refusedAt: old }))
  const others = () => ({ provider: 'X' as const, userId: randomUUID(), attemptId: randomUUID() })
  await world
    .db()
    .insert(refusedConnections)
    .values(refused.map((row) => ({ ...row, ...others() })))
  await sweepNow(world)
  await eventually(async () =>
    expect(await world.db().select().from(maintenanceRuns)).toHaveLength(maintenanceTaskNames.length),
  )
  const runs = await world.db().select().from(maintenanceRuns).orderBy(asc(maintenanceRuns.task))
  expect(runs.map(({ task }) => task)).toEqual([...maintenanceTaskNames].sort())
  const counts = Object.fromEntries(runs.map(({ task, rowCount }) => [task, rowCount]))
  expect(counts).toMatchObject({ sweepRefusedConnections: 3, sweepTweets: 0, maintainPartitions: null })
  for (const run of runs) {
    expect(run).toMatchObject({ failureCount: 0, failedAt: null })
    expect(run.succeededAt).toBeInstanceOf(Date)
    expect(run.durationMilliseconds).toBeGreaterThanOrEqual(0)
  }
})

test('a task that fails five times in a row is a problem of /readyz until a good run', async () => {
  await using resources = new AsyncDisposableStack()
  const world = await openWorld(resources)
  await runTask(world, 'sweepRefusedConnections')
  await eventually(async () => expect(await runsOf(world, 'sweepRefusedConnections')).toBeDefined())
  const before = await runsOf(world, 'sweepRefusedConnections')
  await queryRows(world, sql`alter table refused_connections rename to hidden_connections`)
  for (let failures = 1; failures <= 5; failures++) {
    expect(await readProblems(world)).toEqual([])
    expect(await runTask(world, 'sweepRefusedConnections')).toBe('failed')
    await eventually(async () =>
      expect(await runsOf(world, 'sweepRefusedConnections')).toMatchObject({ failureCount: failures }),
    )
  }
  // The last good run stays.
  expect(await runsOf(world, 'sweepRefusedConnections')).toMatchObject({ succeededAt: before?.succeededAt })
  expect(await readProblems(world)).toEqual([
    {
      code: 'TASKS_BEHIND',
      since: before?.succeededAt?.toISOString(),
      detail:
        'The maintenance falls behind: sweepRefusedConnections has failed 5 times in a row. The log of the instances has the cause ("A maintenance task failed").',
    },
  ])
  await queryRows(world, sql`alter table hidden_connections rename to refused_connections`)
  expect(await runTask(world, 'sweepRefusedConnections')).toBe('completed')
  await eventually(async () =>
    expect(await runsOf(world, 'sweepRefusedConnections')).toMatchObject({ failureCount: 0, failedAt: null }),
  )
  expect(await readProblems(world)).toEqual([])
})

test('a task without a good run for ten periods is a problem, once the instance has run for so long', async () => {
  await using resources = new AsyncDisposableStack()
  const world = await openWorld(resources)
  await sweepNow(world)
  await eventually(async () =>
    expect(await world.db().select().from(maintenanceRuns)).toHaveLength(maintenanceTaskNames.length),
  )
  world.advance(599)
  await runTask(world, 'sweepTweets')
  await eventually(async () =>
    expect((await runsOf(world, 'sweepTweets'))?.succeededAt?.getTime()).toBeGreaterThan(Date.now() + 590_000),
  )
  world.advance(2)
  // All instances may have been stopped meanwhile.
  expect(await readProblems(world)).toEqual([])
  const instance = await openInstance(world)
  resources.defer(() => instance.close())
  const later = { ...instance.deps, uptimeSeconds: () => 601 }
  const watch = createTaskWatch()
  await watch(later)
  const lines = (message: string) =>
    instance
      .logs()
      .split('\n')
      .filter((line) => line.includes(message))
      .map((line) => JSON.parse(line) as { task: string; reason?: string })
  const fallen = lines('A maintenance task has fallen behind')
  expect(fallen.map(({ task }) => task).sort()).toEqual(
    maintenanceTaskNames.filter((task) => task !== 'sweepTweets').sort(),
  )
  for (const line of fallen) expect(line).toMatchObject({ level: 'error', reason: 'LATE' })
  // Once for each.
  await watch(later)
  expect(lines('A maintenance task has fallen behind')).toHaveLength(fallen.length)
  await storeMaintenanceRuns(later, [
    { task: 'sweepEvents', success: { durationMilliseconds: 5, rowCount: 0 }, failureCount: 0 },
  ])
  await watch(later)
  expect(lines('A maintenance task has caught up')).toMatchObject([{ task: 'sweepEvents' }])
})

test('tasks that have never run are one problem, which names them all', async () => {
  await using resources = new AsyncDisposableStack()
  const world = await openWorld(resources, { taskBehindSeconds: 0 })
  const [problem] = await readProblems(world)
  expect(problem).toMatchObject({ code: 'TASKS_BEHIND', since: null })
  for (const task of maintenanceTaskNames) expect(problem?.detail).toContain(`${task} has had no good run yet`)
})
