// The rows of webhook endpoints.
import { and, eq, isNull, type SQL } from 'drizzle-orm'
import { webhookEndpoints } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'

/** A URL that events are sent to. */
export type WebhookEndpoint = typeof webhookEndpoints.$inferSelect

/** The SQL condition for the row of an endpoint. */
export function isEndpoint({ userId, id }: Pick<WebhookEndpoint, 'userId' | 'id'>): SQL | undefined {
  return and(eq(webhookEndpoints.userId, userId), eq(webhookEndpoints.id, id))
}

/** The SQL condition that an endpoint is not deleted. */
export function isVisible(): SQL {
  return isNull(webhookEndpoints.deletedAt)
}

/**
 * Locks an endpoint's row until the transaction ends; null when the user has none with this id.
 * Locks the user's row first: the deletion of a user cascades to endpoints, events and deliveries,
 * and would deadlock with the opposite order.
 */
export async function lockEndpoint(
  deps: Pick<Deps, 'db'>,
  userId: string,
  endpointId: string,
): Promise<WebhookEndpoint | null> {
  await lockUsers(deps.db, [userId])
  const [endpoint] = await deps.db
    .select()
    .from(webhookEndpoints)
    .where(isEndpoint({ userId, id: endpointId }))
    .for('no key update')
  return endpoint ?? null
}
