import { sql } from 'drizzle-orm'
import { bigint, check, index, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'
import { users } from './users.ts'

export const eventTypes = [
  'account.connected',
  'account.reconnected',
  'account.recovered',
  'account.needs_reauth',
  'account.disconnected',
  'account.profile_changed',
  'tweet.posted',
  'tweet.failed',
  'tweet.unknown',
  'tweet.reconciled',
  'tweet.deleted',
  'session.started',
  'session.ended',
  'token.created',
  'token.revoked',
  'link_visibility.changed',
  'webhook.disabled',
  'webhook.test',
] as const

/**
 * An event of a user, an account, a tweet, a token or an endpoint. Inserted in the transaction
 * of the change and never updated. Its references have no foreign keys, since their rows may be
 * deleted; only the deletion of a user deletes the events too. The sweep deletes events beyond the
 * retention.
 */
export const events = pgTable(
  'events',
  {
    id: id(),
    /**
     * The position in commit order, set by the trigger `events_placed` at the end of the
     * transaction: a reader never finds an earlier position later. Null only inside that
     * transaction.
     */
    position: bigint({ mode: 'number' }).unique('events_position'),
    type: text({ enum: eventTypes }).notNull(),
    /** The user it concerns; null for the operator's own events. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    accountId: uuid(),
    tweetId: uuid(),
    apiTokenId: uuid(),
    webhookEndpointId: uuid(),
    /** A code from the list that belongs to the type; never foreign text. */
    reason: text(),
    occurredAt: moment().notNull(),
  },
  (table) => [
    index().on(table.userId, table.position),
    check('events_type', oneOf(table.type, eventTypes)),
    check('events_reason', sql`${table.reason} ~ '^[A-Z][A-Z0-9_]*$'`),
  ],
)

/**
 * The highest swept position of each user and type (user null: the operator's own events). A reader
 * that resumes before it has missed events. Written by the sweep. Kept by type: a reader of rare
 * events has an old cursor, and has missed nothing when only other types were swept.
 */
export const eventHorizons = pgTable(
  'event_horizons',
  {
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    type: text({ enum: eventTypes }).notNull(),
    position: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [unique('event_horizons_user_type').on(table.userId, table.type).nullsNotDistinct()],
)
