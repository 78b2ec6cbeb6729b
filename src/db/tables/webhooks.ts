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

/** An address that events are sent to: a user's, who gets their own, or the operator's. Deleted by whoever made it. */
export const webhookEndpoints = pgTable(
  'webhook_endpoints',
  {
    id: id(),
    /** Null for the operator's. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    url: text().notNull(),
    description: text(),
    /** Which events are sent; null for all. */
    eventTypes: text({ enum: eventTypes }).array(),
    secretSealed: text().notNull(),
    /** The secret before the last rotation, which signs beside the new one until it ends. */
    previousSecretSealed: text(),
    previousSecretEndsAt: moment(),
    status: text({ enum: webhookEndpointStatuses }).notNull().default('ENABLED'),
    disabledReason: text({ enum: webhookDisabledReasons }),
    /** Since when nothing has arrived there; null when the last delivery did. */
    failingSince: moment(),
    /** What happened before is not sent. */
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

/** One event on its way to one endpoint: PENDING → DELIVERED | DEAD. Goes with its endpoint and with its event; swept after 30 days. */
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
    /** Raised before each try, so that one that is cut short counts as well. */
    attempts: integer().notNull().default(0),
    lastAttemptAt: moment(),
    lastHttpStatus: integer(),
    lastError: text({ enum: webhookErrors }),
    /** Not tried again before. Whoever tries moves it first, to where the try is over at the latest. */
    nextAttemptAt: moment(),
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    unique('webhook_deliveries_once').on(table.endpointId, table.eventId),
    index().on(table.endpointId, table.createdAt, table.id),
    index().on(table.eventId),
    index().on(table.createdAt),
    check('webhook_deliveries_status', oneOf(table.status, webhookDeliveryStatuses)),
    check('webhook_deliveries_last_error', oneOf(table.lastError, webhookErrors)),
    check('webhook_deliveries_pending', sql`(${table.status} = 'PENDING') = (${table.nextAttemptAt} is not null)`),
    check('webhook_deliveries_delivered', sql`(${table.status} = 'DELIVERED') = (${table.deliveredAt} is not null)`),
  ],
)

/** The one row that says up to which event all deliveries are written. */
export const webhookFanOut = pgTable(
  'webhook_fan_out',
  {
    onlyRow: boolean().primaryKey().default(true),
    position: bigint({ mode: 'number' }).notNull().default(0),
  },
  (table) => [check('webhook_fan_out_only_row', sql`${table.onlyRow}`)],
)
