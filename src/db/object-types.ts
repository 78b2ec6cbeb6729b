// The tables that hold the objects of the API, by primary key. An id is a random UUID, so that it
// is in one of them at most.
import { and, eq, inArray, sql } from 'drizzle-orm'
import { unionAll } from 'drizzle-orm/pg-core'
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
  const named = (type: OwnedType) => sql<OwnedType>`${sql.raw(`'${type}'`)}::text`.as('type')
  const endpoints = db
    .select({ id: webhookEndpoints.id })
    .from(webhookEndpoints)
    .where(eq(webhookEndpoints.userId, userId))
  return unionAll(
    db
      .select({ id: users.id, type: named('User') })
      .from(users)
      .where(and(eq(users.id, userId), inArray(users.id, [...ids]))),
    db
      .select({ id: connectedAccounts.id, type: named('ConnectedAccount') })
      .from(connectedAccounts)
      .where(and(eq(connectedAccounts.userId, userId), inArray(connectedAccounts.id, [...ids]))),
    db
      .select({ id: connectAttempts.id, type: named('ConnectAttempt') })
      .from(connectAttempts)
      .where(and(eq(connectAttempts.userId, userId), inArray(connectAttempts.id, [...ids]))),
    db
      .select({ id: tweets.id, type: named('Tweet') })
      .from(tweets)
      .where(and(eq(tweets.userId, userId), inArray(tweets.id, [...ids]))),
    db
      .select({ id: events.id, type: named('Event') })
      .from(events)
      .where(and(eq(events.userId, userId), inArray(events.id, [...ids]))),
    db
      .select({ id: apiTokens.id, type: named('ApiToken') })
      .from(apiTokens)
      .where(and(eq(apiTokens.userId, userId), inArray(apiTokens.id, [...ids]))),
    db
      .select({ id: sessions.publicId, type: named('Session') })
      .from(sessions)
      .where(and(eq(sessions.userId, userId), inArray(sessions.publicId, [...ids]))),
    db
      .select({ id: webhookEndpoints.id, type: named('WebhookEndpoint') })
      .from(webhookEndpoints)
      .where(and(eq(webhookEndpoints.userId, userId), inArray(webhookEndpoints.id, [...ids]))),
    db
      .select({ id: webhookDeliveries.id, type: named('WebhookDelivery') })
      .from(webhookDeliveries)
      .where(and(inArray(webhookDeliveries.endpointId, endpoints), inArray(webhookDeliveries.id, [...ids]))),
  )
}
