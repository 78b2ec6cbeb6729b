import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'
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
  'operator.user_blocked',
  'operator.user_unblocked',
  'operator.user_signed_out',
  'operator.user_deleted',
  'operator.account_disconnected',
  'operator.tweet_reconciled',
  'operator.job_retried',
  'operator.invite_created',
  'operator.invite_revoked',
] as const

/**
 * The position of each user's newest event, including deleted ones. Inserted with the first event.
 * The row is locked from the assignment of a position until the commit, so that the order of
 * positions is the order of commits.
 */
export const eventPositions = pgTable('event_positions', {
  userId: uuid()
    .primaryKey()
    .references(() => users.id, { onDelete: 'cascade' }),
  position: bigint({ mode: 'number' }).notNull(),
  /**
   * Incremented by each change of the user's webhook endpoints that decides what is sent to them. 0
   * for a user who has never had one, whose events need no look at the endpoints.
   */
  endpointsVersion: integer().notNull().default(0),
  /** The position before the last restore of the database; null if there was none. */
  restoredPosition: bigint({ mode: 'number' }),
})

/**
 * An event of a user, an account, a tweet, a token or an endpoint. Inserted in the transaction
 * of the change and never updated. The operator has a copy, under the same id, of each account
 * event of the time in which its user shows their accounts; hiding them and deleting the user
 * delete the copies, in batches. The references to other rows have no foreign keys, since those
 * may be deleted; only the deletion of a user deletes the events too. The sweep deletes events
 * beyond the retention. Partitioned by month of `occurredAt`, which is therefore part of each
 * unique key (db/partitions.ts).
 */
export const events = pgTable(
  'events',
  {
    /** The user who reads it; OPERATOR_ID for the operator's own events and copies. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    id: uuid().notNull(),
    /** The position among the events of `userId`, in commit order. */
    position: bigint({ mode: 'number' }).notNull(),
    type: text({ enum: eventTypes }).notNull(),
    /** In a copy or an act of the operator, the user it is about; null in other events. */
    subjectUserId: uuid(),
    accountId: uuid(),
    tweetId: uuid(),
    apiTokenId: uuid(),
    webhookEndpointId: uuid(),
    /** A code from the list that belongs to the type; never foreign text. */
    reason: text(),
    /**
     * Who acted, in the operator's own copy of an act of the operator: the name of an API token, or
     * the name that a command was given. Null in all other events.
     */
    actor: text(),
    occurredAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id, table.occurredAt] }),
    unique('events_position').on(table.userId, table.position, table.occurredAt),
    index().on(table.userId, table.type, table.position),
    index('events_copies').on(table.userId, table.subjectUserId).where(sql`${table.subjectUserId} is not null`),
    index().on(table.occurredAt),
    check('events_type', oneOf(table.type, eventTypes)),
    check('events_reason', sql`${table.reason} ~ '^[A-Z][A-Z0-9_]*$'`),
    check('events_actor', sql`length(${table.actor}) between 1 and 120`),
  ],
)

/**
 * The highest swept position of each user and type. A reader that resumes before it has missed
 * events. Written by the sweep. Kept by type: a reader of rare events has an old cursor, and has
 * missed nothing when only other types were swept.
 */
export const eventHorizons = pgTable(
  'event_horizons',
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    type: text({ enum: eventTypes }).notNull(),
    position: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.type] })],
)

/**
 * Copies of the operator that their user has hidden and that are not deleted yet: those up to this
 * position. Nobody reads them, and no webhook sends them. Inserted when a user with many copies
 * hides their accounts; deleted by the sweep with the last of the copies.
 */
export const hiddenCopies = pgTable(
  'hidden_copies',
  {
    /** Always OPERATOR_ID, the user of the copies. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** The user that the copies are about. */
    subjectUserId: uuid().notNull(),
    position: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.subjectUserId] })],
)
