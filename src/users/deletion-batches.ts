// The rows of a user, deleted in batches, so that no statement grows with what the user has.
import { and, eq, getTableName, inArray, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { revokeAttemptTokensOf } from '../accounts/refuse-connection.ts'
import {
  apiTokens,
  connectAttempts,
  connectedAccounts,
  eventHorizons,
  eventPositions,
  events,
  idempotencyKeys,
  oauthTokens,
  orphanedTokens,
  rateLimits,
  refusedConnections,
  restoredTimelines,
  secretOwners,
  sessions,
  signInAttempts,
  tweets,
  webhookDeliveries,
  webhookEndpoints,
  webhookTurns,
  xBlocks,
} from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { deleteOperatorCopies } from '../events/operator-copies.ts'

/** The number of rows that a batch deletes at most. */
export const DELETION_BATCH = 1_000

/**
 * Deletes the next rows of a user, in the transaction of `deps`, which has locked the user for
 * update.
 * @param after where the last batch has ended; null for the first one.
 * @returns where this batch has ended; null when it was the last.
 */
export type DeleteBatch = (deps: Deps, userId: string, after: string | null) => Promise<string | null>

/**
 * The batches of all tables, by the names of these. Rows that refer to others come before them, so
 * that no foreign key cascades over many rows. Not here are the connections to X, which are ended
 * before (deletion-job.ts), and `grant_revocations`, which outlive the user until X has confirmed.
 */
export const deletionBatches: ReadonlyMap<string, DeleteBatch> = new Map([
  ['copies of the operator', deleteCopies],
  // Grants of attempts that wait for X are revoked with them.
  inOrderOf(connectAttempts.id, revokeAttemptTokensOf),
  inOrderOf(webhookDeliveries.id),
  inOrderOf(webhookEndpoints.id),
  inOrderOf(webhookTurns.userId),
  inOrderOf(events.position),
  inOrderOf(eventHorizons.type),
  inOrderOf(eventPositions.userId),
  inOrderOf(idempotencyKeys.keyHash),
  inOrderOf(tweets.id),
  inOrderOf(restoredTimelines.accountId),
  inOrderOf(orphanedTokens.id),
  inOrderOf(oauthTokens.accountId),
  inOrderOf(connectedAccounts.id),
  inOrderOf(sessions.id),
  inOrderOf(apiTokens.id, deleteBuckets),
  inOrderOf(xBlocks.subject),
  byUser(signInAttempts, signInAttempts.stateHash, signInAttempts.userId),
  byUser(refusedConnections, refusedConnections.providerAccountId, refusedConnections.userId),
  byUser(secretOwners, secretOwners.secretHash, secretOwners.userId),
  [
    getTableName(rateLimits),
    async (deps, userId) => {
      await deleteBuckets(deps, userId, [userId])
      return null
    },
  ],
])

type UserTable = PgTable & { userId: PgColumn }

/**
 * Deletes rows of a table of users in the order of a key. Both ends of a batch bound the index
 * scan, so that each statement reads the rows of its batch alone, whatever the planner knows of
 * this user.
 * @param alongside handles the same rows before they are deleted.
 */
function inOrderOf(
  key: PgColumn,
  alongside?: (deps: Deps, userId: string, keys: string[]) => Promise<void>,
): [table: string, DeleteBatch] {
  const table = key.table as UserTable
  const deleteBatch: DeleteBatch = async (deps, userId, after) => {
    const isOfUser = eq(table.userId, userId)
    const isLater = after === null ? undefined : sql`${key} > ${after}`
    const page = await deps.db
      .select({ key: sql<string>`${key}::text` })
      .from(table)
      .where(and(isOfUser, isLater))
      .orderBy(key)
      .limit(DELETION_BATCH)
    const keys = page.map(({ key }) => key)
    const last = keys.at(-1)
    if (last === undefined) return null
    await alongside?.(deps, userId, keys)
    await deps.db.delete(table).where(and(isOfUser, isLater, sql`${key} <= ${last}`))
    return keys.length < DELETION_BATCH ? null : last
  }
  return [getTableName(table), deleteBatch]
}

/** Deletes rows of a look-up table, which an index finds by the user. */
function byUser(table: PgTable, key: PgColumn, user: PgColumn): [table: string, DeleteBatch] {
  const deleteBatch: DeleteBatch = async (deps, userId) => {
    const page = await deps.db
      .select({ key: sql<string>`${key}` })
      .from(table)
      .where(eq(user, userId))
      .limit(DELETION_BATCH)
    const keys = page.map(({ key }) => key)
    if (keys.length > 0) await deps.db.delete(table).where(and(inArray(key, keys), eq(user, userId)))
    return keys.length < DELETION_BATCH ? null : ''
  }
  return [getTableName(table), deleteBatch]
}

async function deleteCopies(deps: Deps, userId: string): Promise<string | null> {
  return (await deleteOperatorCopies(deps, userId, DELETION_BATCH)) ? null : ''
}

async function deleteBuckets(deps: Deps, _userId: string, subjects: string[]): Promise<void> {
  const isTheirs: SQL = inArray(rateLimits.subject, subjects)
  await deps.db.delete(rateLimits).where(isTheirs)
}
