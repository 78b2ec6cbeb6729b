import { sql } from 'drizzle-orm'
import { boolean, check, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'

export const activityStreamStates = ['CONNECTING', 'CONNECTED', 'REFUSED'] as const

/**
 * The one row that says which instance keeps the stream of X's Activity API: X allows two streams
 * of an app, and repeats each event on both. Inserted by the first instance that is configured for
 * it, renewed by the holder, taken over after `held_until`.
 */
export const activityStream = pgTable(
  'activity_stream',
  {
    onlyRow: boolean().primaryKey().default(true),
    /** A random id of the process that has the lease. */
    holderId: uuid().notNull(),
    heldUntil: moment().notNull(),
    /** REFUSED: X does not serve its Activity API to the app. */
    state: text({ enum: activityStreamStates }).notNull(),
    stateSince: moment().notNull(),
  },
  (table) => [
    check('activity_stream_only_row', sql`${table.onlyRow}`),
    check('activity_stream_state', oneOf(table.state, activityStreamStates)),
  ],
)
