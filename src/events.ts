// What happened to whom. One table, in which audit, subscriptions and webhooks read the same thing in the same order.
import { events, type eventTypes } from './db/tables.ts'
import type { Deps } from './deps.ts'

/** What can happen. The same name in the row and in a webhook; the SDL's enum spells it in capitals. */
export type EventType = (typeof eventTypes)[number]

/** What there is to say of something that happened. What is left out it is not about. */
export type NewEvent = {
  type: EventType
  /** Whose event it is; null for one of the operator's own. */
  userId: string | null
  accountId?: string
  tweetId?: string
  apiTokenId?: string
  webhookEndpointId?: string
  /** Why, as a code. */
  reason?: string | null
}

/**
 * Writes down what has just been changed. Call it inside the transaction that changes it, so that the event exists exactly if the
 * change does. Its place in the order is given when that transaction commits.
 */
export async function recordEvent(deps: Pick<Deps, 'db' | 'clock'>, ...happened: NewEvent[]): Promise<void> {
  if (happened.length === 0) return
  await deps.db.insert(events).values(happened.map((event) => ({ ...event, occurredAt: deps.clock.sqlNow() })))
}
