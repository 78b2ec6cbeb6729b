// The tables that hold the objects of the API, by primary key. An id is a random UUID, so that it
// is in one of them at most.
import { and, eq, inArray, type SQL, sql } from 'drizzle-orm'
import { type PgColumn, unionAll } from 'drizzle-orm/pg-core'
import type { Db } from './client.ts'
import {
  apiTokens,
  connectAttempts,
  connectedAccounts,
  events,
  sessions,
  tweets,
  users,
  webhookDeliveries,
  webhookEndpoints,
} from './tables.ts'

/** The name of a type in the SDL, for a row that a user owns. */
export type OwnedType =
  | 'User'
  | 'ConnectedAccount'
  | 'ConnectAttempt'
  | 'Tweet'
  | 'Event'
  | 'ApiToken'
  | 'Session'
  | 'WebhookEndpoint'
  | 'WebhookDelivery'

/** The types of those ids that are of rows of this user, in one statement. */
export async function findOwnedTypes(
  db: Db,
  userId: string,
  ids: readonly string[],
): Promise<{ id: string; type: OwnedType }[]> {
  const select = (type: OwnedType, id: PgColumn, isOwned: SQL) =>
    db
      .select({ id: sql<string>`${id}`.as('id'), type: sql<OwnedType>`${sql.raw(`'${type}'`)}::text`.as('type') })
      .from(id.table)
      .where(and(isOwned, inArray(id, [...ids])))
  return unionAll(
    select('User', users.id, eq(users.id, userId)),
    select('ConnectedAccount', connectedAccounts.id, eq(connectedAccounts.userId, userId)),
    select('ConnectAttempt', connectAttempts.id, eq(connectAttempts.userId, userId)),
    select('Tweet', tweets.id, eq(tweets.userId, userId)),
    select('Event', events.id, eq(events.userId, userId)),
    select('ApiToken', apiTokens.id, eq(apiTokens.userId, userId)),
    select('Session', sessions.publicId, eq(sessions.userId, userId)),
    select('WebhookEndpoint', webhookEndpoints.id, eq(webhookEndpoints.userId, userId)),
    select('WebhookDelivery', webhookDeliveries.id, eq(webhookDeliveries.userId, userId)),
  )
}
