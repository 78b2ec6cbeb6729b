import { sql } from 'drizzle-orm'
import { check, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'

/**
 * The last runs of each task of the maintenance, for /readyz and the metrics of all instances.
 * Written by the instance that has run the task.
 */
export const maintenanceRuns = pgTable(
  'maintenance_runs',
  {
    task: text().primaryKey(),
    /** When the last good run ended; null before the first. */
    succeededAt: moment(),
    /** How long that run took. */
    durationMilliseconds: integer(),
    /** The number of rows that it has handled; null for a task that handles none. */
    rowCount: integer(),
    /** The number of runs that have failed since. */
    failureCount: integer().notNull(),
    /** When the last of these failed; null when there is none. */
    failedAt: moment(),
  },
  (table) => [
    check(
      'maintenance_runs_success',
      sql`${table.succeededAt} is not null or (${table.durationMilliseconds} is null and ${table.rowCount} is null)`,
    ),
    check('maintenance_runs_failure', sql`(${table.failureCount} > 0) = (${table.failedAt} is not null)`),
  ],
)
