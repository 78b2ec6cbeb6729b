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
  'tweet.unknown_settled',
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
 * What happened to whom. Written in the transaction that makes the change, and never changed afterwards. The ids of what it is about
 * refer to nothing, since that may be gone; a person who is deleted takes their events along. Swept when old.
 */
export const events = pgTable(
  'events',
  {
    id: id(),
    /**
     * The place in the order of commits, given by the trigger `events_placed` at the end of the transaction: whoever has read up to a
     * position never finds an earlier one later. Null only inside the transaction that writes the row.
     */
    position: bigint({ mode: 'number' }).unique('events_position'),
    type: text({ enum: eventTypes }).notNull(),
    /** Whose event it is; null for one of the operator's own. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    accountId: uuid(),
    tweetId: uuid(),
    apiTokenId: uuid(),
    webhookEndpointId: uuid(),
    /** Why, as a code of the list that belongs to the type; never a text of somebody else's. */
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
 * Up to where a person's events of a type have been swept (null: the operator's own): whoever resumes from before has missed some. By
 * type, since whoever waits for what seldom happens has an old cursor, and has missed nothing when something else was swept.
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
