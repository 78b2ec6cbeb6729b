import { sql } from 'drizzle-orm'
import { PgBoss } from 'pg-boss'
import type { Database } from '../../src/db/client.ts'

/** Lets a minute pass for the jobs that are running, and pg-boss look for expired ones. */
export async function expireJobs({ db }: Database, connectionString: string): Promise<void> {
  await db.execute(sql`update pgboss.job set started_on = started_on - interval '2 minutes' where state = 'active'`)
  await db.execute(sql`update pgboss.queue set monitor_on = null, monitor_claim_on = null`)
  const supervisor = new PgBoss({
    connectionString,
    schema: 'pgboss',
    supervise: false,
    schedule: false,
    migrate: false,
  })
  await supervisor.start()
  await supervisor.supervise()
  await supervisor.stop()
}
