import { sql } from 'drizzle-orm'
import { vi } from 'vitest'
import { JOBS_CHANNEL } from '../../src/db/jobs.ts'
import { MAINTENANCE_QUEUE, maintenanceTasks } from '../../src/jobs/maintenance.ts'
import { queryRows } from './connected-account.ts'
import type { World } from './harness.ts'

/** Runs the tasks of every minute now, one after the other, and waits until they are done. */
export async function sweepNow(world: World): Promise<void> {
  for (const task of maintenanceTasks.keys())
    if ((await runTask(world, task)) === 'failed') throw new Error(`The task ${task} has failed`)
}

/** Runs one task of every minute now, and waits until it has ended. Returns the state of its job. */
export async function runTask(world: World, task: string): Promise<'completed' | 'failed'> {
  const data = JSON.stringify({ task })
  const [job] = await queryRows(
    world,
    sql`insert into pgboss.job (name, data, retry_limit) values (${MAINTENANCE_QUEUE}, ${data}::jsonb, 0) returning id`,
  )
  await wakeJobs(world)
  return vi.waitFor(
    async () => {
      const [row] = await queryRows(world, sql`select state from pgboss.job where id = ${job?.id}`)
      if (row?.state !== 'completed' && row?.state !== 'failed') throw new Error(`The task ${task} is ${row?.state}`)
      return row.state
    },
    { timeout: 120_000, interval: 10 },
  )
}

/** Makes the gateway look for jobs that the test has queued or changed. */
export async function wakeJobs(world: World): Promise<void> {
  await queryRows(world, sql`select pg_notify(${JOBS_CHANNEL}, '')`)
}
