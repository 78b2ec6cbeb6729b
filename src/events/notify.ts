// NOTIFY for new events. It only says which users have some; readers read the table.
import { sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'

/** The NOTIFY channel; the payload is a list of the ids of users with new events. */
export const EVENTS_CHANNEL = 'xconnect_events'

// PostgreSQL limits a payload to 7,999 bytes, and an id with its comma has 37.
const USERS_PER_MESSAGE = 200

/** Notifies all instances that these users have new events. */
export async function notifyOfEvents(db: Pick<Db, 'execute'>, userIds: readonly string[]): Promise<void> {
  for (let first = 0; first < userIds.length; first += USERS_PER_MESSAGE) {
    const payload = userIds.slice(first, first + USERS_PER_MESSAGE).join(',')
    await db.execute(sql`select pg_notify(${EVENTS_CHANNEL}::text, ${payload}::text)`)
  }
}

/** Returns the users of a payload; null when notifications may have been missed. */
export function parseNotification(payload: string | null): string[] | null {
  return payload === null ? null : payload.split(',')
}
