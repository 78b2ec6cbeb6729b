// An advisory lock lets one instance migrate at a time. It belongs to a session, so that PostgreSQL
// releases it when the process is killed. A waiting instance logs which session has the lock, and
// gives up after five minutes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { StartupError } from '../process/startup-error.ts'

/** Reports that the start waits: fields for the log, and a sentence. */
export type ReportWaiting = (fields: Record<string, unknown>, sentence: string) => void

/** Another session did not release the lock in time. */
export class MigrationLockError extends StartupError {
  constructor(waitedSeconds: number, holder: string) {
    super(
      `The migrations have waited ${waitedSeconds} s for ${holder}. If an instance is migrating large tables, let it finish, and start again. Nothing was changed.`,
      1,
    )
    this.name = 'MigrationLockError'
  }
}

// A supervisor restarts the process after that. Migrations that take longer are rare, and go on.
const WAIT_SECONDS = 300
const TRY_AGAIN_MILLISECONDS = 250
const REPORT_EVERY_SECONDS = 10

/**
 * Acquires the lock for the session of `connection`.
 * @throws MigrationLockError after `waitSeconds`, by default five minutes.
 */
export async function lockMigrations(
  connection: Sql,
  report: ReportWaiting,
  waitSeconds = WAIT_SECONDS,
): Promise<void> {
  const startedAt = performance.now()
  const waited = () => Math.round((performance.now() - startedAt) / 1000)
  let reports = 0
  for (;;) {
    const [row] = await connection`select pg_try_advisory_lock(hashtextextended('xconnect-migrations', 0)) as locked`
    if (row?.locked === true) return
    const holder = await findHolder(connection)
    // The lock may have been released in between.
    if (holder !== null && waited() >= reports * REPORT_EVERY_SECONDS) {
      reports += 1
      report({ ...holder.fields, waitedSeconds: waited() }, `The start waits for ${holder.sentence}`)
    }
    if (waited() >= waitSeconds) throw new MigrationLockError(waited(), holder?.sentence ?? 'the migration lock')
    await sleep(TRY_AGAIN_MILLISECONDS)
  }
}

async function findHolder(connection: Sql) {
  // A 64-bit key is in two columns of pg_locks. Most columns of another role's session are null.
  const [row] = await connection`
    with key as (select hashtextextended('xconnect-migrations', 0) as value)
    select l.pid, a.usename as role, a.application_name as application, host(a.client_addr) as address, a.state as activity,
      extract(epoch from clock_timestamp() - a.state_change)::int as seconds
    from key join pg_locks l on l.classid = ((value >> 32) & 4294967295)::oid and l.objid = (value & 4294967295)::oid
    left join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
      and l.database = (select oid from pg_database where datname = current_database())`
  if (row === undefined) return null
  const { pid, role, application, address, activity, seconds } = row
  const from = [application && `"${application}"`, address && `at ${address}`, role && `as ${role}`].filter(Boolean)
  const doing = activity === null ? '' : `, ${activity} for ${seconds} s`
  const who = `process ${pid} of the server${from.length > 0 ? ` (${from.join(' ')}${doing})` : ''}`
  return {
    fields: { holder: { pid, role, application, address, activity, seconds } },
    sentence: `the migration lock, which ${who} has. If that is no instance that is starting, end its session: select pg_terminate_backend(${pid})`,
  }
}
