import { sql } from 'drizzle-orm'
import { check, foreignKey, index, integer, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { allOf, moment, oneOf } from './columns.ts'
import { eventTypes } from './events.ts'
import { users } from './users.ts'

export const webhookEndpointStatuses = ['ENABLED', 'DISABLED'] as const

export const webhookDisabledReasons = ['BY_OWNER', 'FAILING', 'GONE'] as const

export const webhookDeliveryStatuses = ['PENDING', 'DELIVERED', 'DEAD'] as const

export const webhookErrors = [
  'STATUS',
  'REDIRECT',
  'DEADLINE',
  'CONNECTION',
  'TLS',
  'URL_NOT_ALLOWED',
  'SECRET_UNREADABLE',
  'ENDPOINT_DISABLED',
  'TOO_MANY_PENDING',
] as const

/**
 * A URL that events are sent to: a user's, for their own events, or the operator's. Created and
 * deleted by its owner; disabled by its owner, or by the deliveries when it keeps failing.
 */
export const webhookEndpoints = pgTable(
  'webhook_endpoints',
  {
    /** The owner; OPERATOR_ID for an endpoint of the operator. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    id: uuid().notNull(),
    url: text().notNull(),
    description: text(),
    /** The types that are sent; null for all. */
    eventTypes: text({ enum: eventTypes }).array(),
    secretSealed: text().notNull(),
    /** The secret before the last rotation. It signs too until it expires. */
    previousSecretSealed: text(),
    previousSecretEndsAt: moment(),
    status: text({ enum: webhookEndpointStatuses }).notNull().default('ENABLED'),
    disabledReason: text({ enum: webhookDisabledReasons }),
    /** The first failure since the last successful delivery; null after a success. */
    failingSince: moment(),
    /** Until then the deliveries have the slow lane, because the receiver has taken long. */
    slowUntil: moment(),
    /**
     * The owner has deleted it, and some of its deliveries remain to be deleted. It is hidden and
     * disabled.
     */
    deletedAt: moment(),
    createdAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    check('webhook_endpoints_event_types', allOf(table.eventTypes, eventTypes)),
    check('webhook_endpoints_status', oneOf(table.status, webhookEndpointStatuses)),
    check('webhook_endpoints_disabled_reason', oneOf(table.disabledReason, webhookDisabledReasons)),
    check('webhook_endpoints_disabled', sql`(${table.status} = 'DISABLED') = (${table.disabledReason} is not null)`),
    check(
      'webhook_endpoints_previous_secret',
      sql`(${table.previousSecretSealed} is null) = (${table.previousSecretEndsAt} is null)`,
    ),
    check('webhook_endpoints_deleted', sql`${table.deletedAt} is null or ${table.status} = 'DISABLED'`),
  ],
)

/**
 * The next turns of a user's webhooks, one in each lane (webhooks/turns.ts). Inserted with the
 * first delivery. Written with each change of the deliveries, so that a pending one always has a
 * turn.
 */
export const webhookTurns = pgTable(
  'webhook_turns',
  {
    userId: uuid()
      .primaryKey()
      .references(() => users.id, { onDelete: 'cascade' }),
    /**
     * The next turn in the lane of prompt receivers; null while nothing waits there. Users have
     * their turns in the order of this time, which is set to the present after a turn.
     */
    promptAt: moment(),
    /** The next turn in the lane of slow receivers. */
    slowAt: moment(),
    /** The endpoint of the last turn. The next turn is of another one, in the order of the ids. */
    lastEndpointId: uuid(),
  },
  (table) => [
    index('webhook_turns_prompt').on(table.promptAt).where(sql`${table.promptAt} is not null`),
    index('webhook_turns_slow').on(table.slowAt).where(sql`${table.slowAt} is not null`),
  ],
)

/**
 * An event on its way to an endpoint: PENDING → DELIVERED or DEAD. Inserted with
 * the event, updated by the turns of its user. Deleted with its endpoint or event, hidden after
 * 30 days, and then dropped with its month. Partitioned by month of `createdAt`, which is therefore
 * part of each unique key (db/partitions.ts).
 */
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    /** The owner of the endpoint. */
    userId: uuid().notNull(),
    id: uuid().notNull(),
    endpointId: uuid().notNull(),
    /** No foreign key: months of events could not be dropped. */
    eventId: uuid().notNull(),
    status: text({ enum: webhookDeliveryStatuses }).notNull().default('PENDING'),
    /** Incremented before each try, so that an interrupted one counts too. */
    attempts: integer().notNull().default(0),
    lastAttemptAt: moment(),
    lastHttpStatus: integer(),
    lastError: text({ enum: webhookErrors }),
    /** The next try. Moved before each try to the moment when that try has ended at the latest. */
    nextAttemptAt: moment(),
    /** The time of the event, so that an event has one delivery to an endpoint. */
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id, table.createdAt] }),
    foreignKey({
      name: 'webhook_deliveries_endpoint',
      columns: [table.userId, table.endpointId],
      foreignColumns: [webhookEndpoints.userId, webhookEndpoints.id],
    }).onDelete('cascade'),
    unique('webhook_deliveries_once').on(table.userId, table.endpointId, table.eventId, table.createdAt),
    index().on(table.userId, table.endpointId, table.createdAt, table.id),
    index().on(table.userId, table.eventId),
    index().on(table.createdAt),
    // Few deliveries are dead: the list of these is not found among all.
    index('webhook_deliveries_dead')
      .on(table.userId, table.endpointId, table.createdAt, table.id)
      .where(sql`${table.status} = 'DEAD'`),
    index('webhook_deliveries_pending')
      .on(table.userId, table.endpointId, table.nextAttemptAt)
      .where(sql`${table.status} = 'PENDING'`),
    check('webhook_deliveries_status', oneOf(table.status, webhookDeliveryStatuses)),
    check('webhook_deliveries_last_error', oneOf(table.lastError, webhookErrors)),
    check('webhook_deliveries_pending', sql`(${table.status} = 'PENDING') = (${table.nextAttemptAt} is not null)`),
    check('webhook_deliveries_delivered', sql`(${table.status} = 'DELIVERED') = (${table.deliveredAt} is not null)`),
  ],
)
