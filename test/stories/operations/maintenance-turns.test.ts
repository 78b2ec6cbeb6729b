// The order in which the tasks of the maintenance are taken where there is no time for all of them.
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openPglite, openPostgres } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import {
  MAINTENANCE_OPTIONS,
  MAINTENANCE_OVERDUE_SECONDS,
  MAINTENANCE_QUEUE,
  MAINTENANCE_SECONDS,
  maintenanceTasks,
  queueMaintenanceRound,
} from '../../../src/jobs/maintenance.ts'
import { openBoss } from '../../../src/jobs/queue.ts'
import { createTestDatabase } from '../../support/database.ts'

// Three workers and tasks of 45 s run four in a minute.
const TASKS_A_MINUTE = 4
const MINUTES = 60

// No gateway runs here: its loop would take the jobs.
test('where there is time for four tasks in a minute, each task runs, and none more often than the first', async () => {
  await using resources = new AsyncDisposableStack()
  const { environment } = resources.use(await createTestDatabase())
  const { DATABASE_URL: url, DATA_DIR: directory } = environment
  const database = url === undefined ? await openPglite(directory) : openPostgres(url)
  resources.defer(() => database.close())
  await migrateDatabase(database)
  const { boss, jobDatabase, close } = openBoss(database, { supervise: false, schedule: false })
  await boss.start()
  resources.defer(async () => {
    await boss.stop({ graceful: false })
    await close()
  })
  await boss.createQueue(MAINTENANCE_QUEUE, MAINTENANCE_OPTIONS)

  const ran = new Map([...maintenanceTasks.keys()].map((task) => [task, [0]]))
  for (let minute = 1; minute <= MINUTES; minute++) {
    // The queue goes by the clock of the database: the rows become older instead.
    const passed = sql`make_interval(secs => ${MAINTENANCE_SECONDS})`
    await database.db.execute(
      sql`update pgboss.job set created_on = created_on - ${passed}, singleton_on = singleton_on - ${passed}`,
    )
    await queueMaintenanceRound(boss, jobDatabase)
    for (let count = 0; count < TASKS_A_MINUTE; count++) {
      const [job] = await boss.fetch<{ task: string }>(MAINTENANCE_QUEUE)
      if (job === undefined) throw new Error('No task waits')
      ran.get(job.data.task)?.push(minute)
      await boss.deleteJob(MAINTENANCE_QUEUE, job)
    }
  }

  // A task that is overdue waits for one turn of each other.
  const longest = MAINTENANCE_OVERDUE_SECONDS / MAINTENANCE_SECONDS + Math.ceil(maintenanceTasks.size / TASKS_A_MINUTE)
  for (const [task, minutes] of ran) {
    const pauses = [...minutes, MINUTES].map((minute, index, all) => minute - (all[index - 1] ?? 0))
    expect(Math.max(...pauses), task).toBeLessThanOrEqual(longest)
  }
  const runs = [...ran.values()].map(({ length }) => length)
  expect(runs[0]).toBe(Math.max(...runs))
})
