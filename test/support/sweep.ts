import { sql } from 'drizzle-orm'
import { vi } from 'vitest'
import { queryRows } from './connected-account.ts'
import type { World } from './harness.ts'

/** Runs the job of every minute now, and waits until it is done. */
export async function sweepNow(world: World): Promise<void> {
  const [job] = await queryRows(world, sql`insert into pgboss.job (name) values ('sweep') returning id`)
  await vi.waitFor(
    async () => {
      const [row] = await queryRows(world, sql`select state from pgboss.job where id = ${job?.id}`)
      if (row?.state !== 'completed') throw new Error(`The sweep is ${row?.state}`)
    },
    { timeout: 120_000, interval: 50 },
  )
}
