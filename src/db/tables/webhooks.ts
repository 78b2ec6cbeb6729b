import { sql } from 'drizzle-orm'
import { bigint, boolean, check, index, integer, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import { allOf, id, moment, oneOf } from './columns.ts'
import { events, eventTypes } from './events.ts'
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
] as const

/**
 * A URL that events are sent to: a user's, for their own events, or the operator's. Created and
 * deleted by its owner; disabled by its owner, or by the deliveries when it keeps failing.
 */
export const webhookEndpoints = pgTable(
  'webhook_endpoints',
  {
    id: id(),
    /** Null for an endpoint of the operator. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
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
    /** Earlier events are not sent. */
    enabledAt: moment().notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [
    index().on(table.userId),
    check('webhook_endpoints_event_types', allOf(table.eventTypes, eventTypes)),
    check('webhook_endpoints_status', oneOf(table.status, webhookEndpointStatuses)),
    check('webhook_endpoints_disabled_reason', oneOf(table.disabledReason, webhookDisabledReasons)),
    check('webhook_endpoints_disabled', sql`(${table.status} = 'DISABLED') = (${table.disabledReason} is not null)`),
    check(
      'webhook_endpoints_previous_secret',
      sql`(${table.previousSecretSealed} is null) = (${table.previousSecretEndsAt} is null)`,
    ),
  ],
)

/**
 * An event on its way to an endpoint: PENDING → DELIVERED or DEAD. Inserted by the fan-out, updated
 * by the job `deliver-webhook`. Deleted with its endpoint or event, and by the sweep after 30 days.
 */
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: id(),
    endpointId: uuid()
      .notNull()
      .references(() => webhookEndpoints.id, { onDelete: 'cascade' }),
    eventId: uuid()
      .notNull()
      .references(() => events.id, { onDelete: 'cascade' }),
    status: text({ enum: webhookDeliveryStatuses }).notNull().default('PENDING'),
    /** Incremented before each try, so that an interrupted one counts too. */
    attempts: integer().notNull().default(0),
    lastAttemptAt: moment(),
    lastHttpStatus: integer(),
    lastError: text({ enum: webhookErrors }),
    /** The next try. Moved before each try to the moment when that try has ended at the latest. */
    nextAttemptAt: moment(),
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    unique('webhook_deliveries_once').on(table.endpointId, table.eventId),
    index().on(table.endpointId, table.createdAt, table.id),
    index().on(table.eventId),
    index().on(table.createdAt),
    index('webhook_deliveries_pending').on(table.nextAttemptAt).where(sql`${table.status} = 'PENDING'`),
    check('webhook_deliveries_status', oneOf(table.status, webhookDeliveryStatuses)),
    check('webhook_deliveries_last_error', oneOf(table.lastError, webhookErrors)),
    check('webhook_deliveries_pending', sql`(${table.status} = 'PENDING') = (${table.nextAttemptAt} is not null)`),
    check('webhook_deliveries_delivered', sql`(${table.status} = 'DELIVERED') = (${table.deliveredAt} is not null)`),
  ],
)

/**
 * The one row with the position up to which the fan-out has written all deliveries. A migration
 * inserts it.
 */
export const webhookFanOut = pgTable(
  'webhook_fan_out',
  {
    onlyRow: boolean().primaryKey().default(true),
    position: bigint({ mode: 'number' }).notNull().default(0),
  },
  (table) => [check('webhook_fan_out_only_row', sql`${table.onlyRow}`)],
)
