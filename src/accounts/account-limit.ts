// The limit of the X accounts that one user may have connected at once.
import { and, count, eq, ne, type SQL, sql } from 'drizzle-orm'
import { connectedAccounts } from '../db/tables.ts'
import { lockUserAlone } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

// So far below the limit a user is not locked: more connections of one user are never stored at the
// same instant.
const UNLOCKED_BELOW = 20

/**
 * The SQL condition that the user is so far below the limit that connections which are stored at
 * the same time cannot exceed it.
 */
export function isFarBelowLimit(deps: Pick<Deps, 'db' | 'config'>, userId: string): SQL {
  return sql`(${countConnected(deps, userId)}) < ${deps.config.userLimits.accounts - UNLOCKED_BELOW}`
}

/**
 * Requires that the user may connect one more account. Near the limit it locks the user for the
 * transaction of `deps`, so that of two concurrent connections at the last place one is stored.
 * @throws AppError TOO_MANY_ACCOUNTS
 */
export async function requireRoomForAccount(deps: Pick<Deps, 'db' | 'config'>, userId: string): Promise<void> {
  const limit = deps.config.userLimits.accounts
  if ((await readConnected(deps, userId)) < limit - UNLOCKED_BELOW) return
  await lockUserAlone(deps.db, userId)
  if ((await readConnected(deps, userId)) < limit) return
  throw new AppError('TOO_MANY_ACCOUNTS', {
    detail: `You have ${limit} X accounts connected, which is the limit. Disconnect one that is no longer used with disconnectAccount, then connect this one again.`,
  })
}

async function readConnected(deps: Pick<Deps, 'db'>, userId: string): Promise<number> {
  const [connected] = await countConnected(deps, userId)
  return connected?.count ?? 0
}

function countConnected({ db }: Pick<Deps, 'db'>, userId: string) {
  return db
    .select({ count: count() })
    .from(connectedAccounts)
    .where(and(eq(connectedAccounts.userId, userId), ne(connectedAccounts.status, 'DISCONNECTED')))
}
