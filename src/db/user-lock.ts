// Locks users. All transactions lock rows in one order, so that no two wait for each other:
//
//   1. the account at X (`account_holders`, by `lockAccountHolder`), or the identity at GitHub
//      (`user_identities`)
//   2. users, by `lockUsers`; several in the order of their ids. Storing a connection locks its user
//      for share, so that the visibility of the accounts does not change before the commit
//   3. logins (`user_logins`), in their alphabetical order; the session of a connect attempt
//   4. idempotency keys, then tweets
//   5. the account (`connected_accounts`)
//   6. its tokens (`oauth_tokens`), then its orphaned tokens
//   7. connect attempts
//   8. the webhook endpoint (`webhook_endpoints`)
//   9. the positions of events, also where a webhook endpoint changes
//  10. webhook deliveries and the turns of their user (`webhook_turns`)
//
// Each batch of the deletion of a user locks the user for update, and then the rows of one table. A
// transaction that changes rows of a user and records an event needs the user for its foreign key,
// so that it would wait for the batch while the batch waits for it, unless it locks the user first.
// The end of the deletion locks what is left in the order of users/deletion-batches.ts, when nobody
// else can have rows of the user. A sweep over the rows of many users cannot keep this order; when
// PostgreSQL ends a deadlock, db/rolled-back.ts runs the transaction again.
import { and, eq, type SQL, type SQLWrapper } from 'drizzle-orm'
import type { Db } from './client.ts'
import { users } from './tables.ts'

/**
 * Locks the rows of these users for the transaction of `db`, so that they are not deleted
 * meanwhile. Any number of transactions can do so at once. One statement for each user: their rows
 * may be on different nodes.
 * @returns the ids of those that exist.
 */
export async function lockUsers(db: Db, ids: readonly string[]): Promise<string[]> {
  const locked: string[] = []
  for (const id of [...new Set(ids)].toSorted()) {
    const [user] = await lockedUser(db, id)
    if (user !== undefined) locked.push(id)
  }
  return locked
}

/**
 * Locks a user for the transaction of `db`, one transaction at a time: those that count what the
 * user has, so that a limit holds, count one after the other.
 */
export async function lockUserAlone(db: Db, id: string): Promise<void> {
  await db.select({ id: users.id }).from(users).where(eq(users.id, id)).for('no key update')
}

/**
 * The query that `lockUsers` sends for one user, for a part of a statement.
 * @param condition that has to be true as well.
 */
export function lockedUser(db: Pick<Db, 'select'>, id: string | SQLWrapper, condition?: SQL) {
  return db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.id, id), condition))
    .for('key share')
}
