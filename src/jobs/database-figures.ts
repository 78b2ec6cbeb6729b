// The metrics that come from the database, by three statements: the tables of users, the job queue
// and the local tables may be on different nodes. Each value is read by an index, up to a bound, or
// estimated, so that a scrape costs the same at a million accounts as at a thousand.
import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import { queryRows } from '../db/client.ts'
import type { Clock } from '../db/clock.ts'
import { JOBS_SCHEMA } from '../db/grants.ts'
import { judgeTask, maintenanceTaskNames } from '../db/maintenance-runs.ts'
import { OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { Figure, FigureName } from '../telemetry/prometheus.ts'
import { MAX_READS } from '../tweets/reconcile.ts'
import { APP } from '../x/blocks.ts'
import { MAINTENANCE_QUEUE } from './maintenance.ts'
import { workers } from './workers.ts'

// Ten thousand entries of an index take some milliseconds.
const MOST = sql.raw('10000')
// Up to here the accounts are counted, in about ten milliseconds.
const MOST_COUNTED_ACCOUNTS = sql.raw('100000')
const SCHEMA = sql.raw(JOBS_SCHEMA)

/** Returns the figures of the database. */
export async function readDatabaseFigures(deps: Deps): Promise<Figure[]> {
  const rows: Row[] = []
  // One after the other, by one connection.
  for (const statement of [ofUsers(deps), ofJobs(), ofDeployment(deps)])
    rows.push(...rowsShape.parse(await queryRows(deps.db, statement)))
  return [...rows.flatMap(toFigure), ...judgeTasks(rows, deps.timing.taskBehindSeconds, deps.uptimeSeconds())]
}

function ofUsers({ clock, timing }: Deps): SQL {
  return sql`
    select 'tokens_uncertain' as name, null::text as label, count(*)::float8 as value
      from (select from oauth_tokens where state = 'UNCERTAIN' limit ${MOST}) uncertain
    union all select 'oldest_refresh_timestamp_seconds', null, ${epoch(sql`refresh_issued_at`)}
      from (select refresh_issued_at from oauth_tokens where state <> 'DEAD' and refresh_token_sealed is not null
        order by refresh_issued_at limit 1) oldest
    union all select 'tweets_open', 'PENDING', count(*)::float8
      from (select from tweets where status = 'PENDING' limit ${MOST}) pending
    union all select 'tweets_open_oldest_timestamp_seconds', 'PENDING', ${epoch(sql`claimed_until`)} - ${timing.tweetClaimSeconds}::float8
      from (select claimed_until from tweets where status = 'PENDING' order by claimed_until limit 1) oldest
    union all select unnest(array['tweets_open', 'tweets_open_oldest_timestamp_seconds']), 'UNKNOWN',
        unnest(array[count(*)::float8, ${epoch(sql`min(unknown_since)`)}])
      from (select unknown_since from tweets
        where status = 'UNKNOWN' and timeline_reads < ${sql.raw(String(MAX_READS))} limit ${MOST}) unknown
    union all select 'webhook_deliveries_pending', null, count(*)::float8
      from (select from webhook_deliveries where status = 'PENDING' limit ${MOST}) pending
    union all select 'webhook_turn_oldest_timestamp_seconds', null, ${epoch(sql`min(due_at)`)} from (
        (select prompt_at as due_at from webhook_turns where prompt_at is not null order by prompt_at limit 1)
        union all (select slow_at from webhook_turns where slow_at is not null order by slow_at limit 1)
      ) turn where due_at <= ${clock.sqlNow()}
    union all select 'x_blocked', endpoint || ' ' || error_code, 1
      from x_blocks where user_id = ${OPERATOR_ID} and subject = ${APP} and until > ${clock.sqlNow()}
    union all select 'connected_accounts', status, count(*)::float8
      from connected_accounts
      where (select reltuples from pg_class where oid = 'public.connected_accounts'::regclass) < ${MOST_COUNTED_ACCOUNTS}
      group by status
    union all select 'connected_accounts', most_common.status, round(most_common.share * class.reltuples)::float8
      from pg_class class
      join pg_stats stats on stats.schemaname = 'public' and stats.tablename = 'connected_accounts' and stats.attname = 'status'
      cross join lateral unnest(stats.most_common_vals::text::text[], stats.most_common_freqs) as most_common(status, share)
      where class.oid = 'public.connected_accounts'::regclass and class.reltuples >= ${MOST_COUNTED_ACCOUNTS}`
}

function ofJobs(): SQL {
  const queues = [...Object.keys(workers), MAINTENANCE_QUEUE]
  const jobsIn = (state: string) => sql`(select start_after from ${SCHEMA}.job
    where job.name = queue.name and state = ${sql.raw(`'${state}'`)} and not blocked and start_after <= now()
    order by start_after limit ${MOST})`
  return sql`
    select unnest(array['jobs_due', 'jobs_due_oldest_timestamp_seconds', 'jobs_failed']) as name, queue.name as label,
        unnest(array[due.count, due.oldest, failed.count]) as value
      from unnest(${sql.param(queues)}::text[]) as queue(name)
      cross join lateral (
        select count(*)::float8 as count, ${epoch(sql`min(start_after)`)} as oldest
          from (${jobsIn('created')} union all ${jobsIn('retry')}) job
      ) due
      cross join lateral (
        select count(*)::float8 as count
          from (select from ${SCHEMA}.job where job.name = queue.name and state = 'failed' limit ${MOST}) job
      ) failed`
}

function ofDeployment({ clock }: { clock: Clock }): SQL {
  return sql`
    select 'now' as name, null::text as label, ${epoch(clock.sqlNow())} as value
    union all select 'provider_problem', code, 1 from provider_problems
    union all select unnest(array['maintenance_last_success_timestamp_seconds', 'maintenance_duration_seconds', 'maintenance_rows', 'maintenance_failures']), task,
        unnest(array[${epoch(sql`succeeded_at`)}, duration_milliseconds / 1000.0::float8, row_count::float8, failure_count::float8])
      from maintenance_runs`
}

type Row = z.infer<typeof rowsShape>[number]

const rowsShape = z.array(z.object({ name: z.string(), label: z.string().nullable(), value: z.number().nullable() }))

// Which label the second column is. The others have none.
const labels: Partial<Record<FigureName, string>> = {
  tweets_open: 'status',
  tweets_open_oldest_timestamp_seconds: 'status',
  connected_accounts: 'status',
  jobs_due: 'queue',
  jobs_due_oldest_timestamp_seconds: 'queue',
  jobs_failed: 'queue',
  provider_problem: 'code',
  maintenance_last_success_timestamp_seconds: 'task',
  maintenance_duration_seconds: 'task',
  maintenance_rows: 'task',
  maintenance_failures: 'task',
}

// Null is a time or a count that there is not.
function toFigure({ name, label, value }: Row): Figure[] {
  if (value === null || name === 'now') return []
  const figureName = name as FigureName
  if (label === null) return [{ name: figureName, value }]
  if (figureName === 'x_blocked') {
    const [endpoint = '', error_code = ''] = label.split(' ')
    return [{ name: figureName, labels: { endpoint, error_code }, value }]
  }
  return [{ name: figureName, labels: { [labels[figureName] ?? 'label']: label }, value }]
}

function judgeTasks(rows: readonly Row[], behindSeconds: number, uptimeSeconds: number): Figure[] {
  const readValue = (name: string, label: string | null) =>
    rows.find((row) => row.name === name && row.label === label)?.value ?? null
  const now = readValue('now', null) ?? 0
  return maintenanceTaskNames.map((task) => {
    const succeededAt = readValue('maintenance_last_success_timestamp_seconds', task)
    const runs = {
      failureCount: readValue('maintenance_failures', task) ?? 0,
      ageSeconds: succeededAt === null ? null : now - succeededAt,
    }
    const isBehind = judgeTask(runs, behindSeconds, uptimeSeconds) !== null
    return { name: 'maintenance_behind', labels: { task }, value: isBehind ? 1 : 0 }
  })
}

function epoch(moment: SQL): SQL<number> {
  return sql<number>`extract(epoch from ${moment})::float8`
}
