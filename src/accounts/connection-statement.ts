// Writes a connection by one statement: the account, its tokens, the end of its attempt and its
// events.
import { and, eq, isNull, notInArray, or, type SQL, sql } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { isAttempt } from '../auth/connect-attempt.ts'
import { lockedSession } from '../auth/session-rows.ts'
import { insertedValues } from '../db/inserted-values.ts'
import { hasOne, isDone } from '../db/statement-parts.ts'
import {
  connectAttempts,
  connectedAccounts,
  grantRevocations,
  oauthTokens,
  orphanedTokens,
  users,
} from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { completeEvents, type NewEvent } from '../events/events.ts'
import { unplaced } from '../events/unplaced-event.ts'
import { eventParts, eventValues } from '../events/write.ts'
import { isFarBelowLimit } from './account-limit.ts'
import { isAccount, isOrphanOf } from './account-rows.ts'
import type { AttemptWithTokens } from './attempt-tokens.ts'

type Values<Row> = { [Column in keyof Row]: Row[Column] | SQL }

/** The rows of a connection. */
export type ConnectionRows = {
  accountId: string
  /** True for an account that the user has never connected: its row is inserted. */
  isNew: boolean
  /** True if nothing is to be written where the user is not far below the limit of accounts. */
  needsRoom: boolean
  account: Values<Omit<typeof connectedAccounts.$inferInsert, 'userId' | 'id' | 'provider' | 'providerAccountId'>> & {
    providerAccountId: string
  }
  tokens: Values<Omit<typeof oauthTokens.$inferInsert, 'userId' | 'accountId'>>
  /** The columns that end the attempt. */
  end: PgUpdateSetSource<typeof connectAttempts>
  events: NewEvent[]
}

/**
 * Writes a connection in the transaction of `deps`. The rows are locked in the order of
 * db/user-lock.ts: each part of the statement waits for the one before it. Call it last.
 * @returns 'written'; 'not-written' when the user or the session is gone, the account is not new,
 * or the user is near the limit of accounts; 'taken-over' when another process has finished the
 * attempt, and the transaction has to be rolled back.
 */
export async function writeConnectionRows(
  deps: Deps,
  { attempt, sealed }: Pick<AttemptWithTokens, 'attempt' | 'sealed'>,
  { accountId, isNew, needsRoom, account, tokens, end, events }: ConnectionRows,
): Promise<'written' | 'not-written' | 'taken-over'> {
  const { db } = deps
  const { userId } = attempt
  // The visibility of the user's accounts stays as it is read until the commit: see completeEvents.
  const owner = db.$with('owner').as(
    db
      .select({
        id: users.id,
        linkVisibility: users.linkVisibility,
        now: sql<string>`${deps.clock.sqlNow()}::text`.as('now'),
      })
      .from(users)
      // Near the limit it locks nothing: the caller locks the user for itself.
      .where(and(eq(users.id, userId), isNull(users.deletionId), needsRoom ? isFarBelowLimit(deps, userId) : undefined))
      .for('share'),
  )
  const session = db.$with('session').as(lockedSession(deps, { id: attempt.sessionId, userId }, hasOne(owner)))
  // An attempt that waits for X is finished without its user.
  const isAllowed = attempt.status === 'WAITING' ? hasOne(owner) : hasOne(session)
  const written = db.$with('written_account').as(
    isNew
      ? db
          .insert(connectedAccounts)
          .select(
            sql`select ${insertedValues(connectedAccounts, { ...account, userId, id: accountId, provider: 'X' })} where ${isAllowed}`,
          )
          .onConflictDoNothing({
            target: [connectedAccounts.userId, connectedAccounts.provider, connectedAccounts.providerAccountId],
          })
          .returning({ id: connectedAccounts.id })
      : db
          .update(connectedAccounts)
          .set(account)
          .where(and(isAccount({ id: accountId, userId }), isAllowed))
          .returning({ id: connectedAccounts.id }),
  )
  const issued = db.$with('issued').as(
    db
      .insert(oauthTokens)
      .select(sql`select ${insertedValues(oauthTokens, { ...tokens, userId, accountId })} where ${hasOne(written)}`)
      // A new version and fencing token: a refresh of the old grant that is under way cannot
      // overwrite the new one.
      .onConflictDoUpdate({
        target: [oauthTokens.userId, oauthTokens.accountId],
        set: {
          ...tokens,
          accessExpiresAt: sql`excluded.access_expires_at`,
          refreshIssuedAt: sql`excluded.refresh_issued_at`,
          lastEventAt: sql`excluded.last_event_at`,
          version: sql`${oauthTokens.version} + 1`,
          fencingToken: sql`${oauthTokens.fencingToken} + 1`,
        },
      })
      .returning({ id: oauthTokens.accountId }),
  )
  const orphans = db.$with('orphans').as(
    db
      .delete(orphanedTokens)
      .where(and(isOrphanOf({ id: accountId, userId }), hasOne(issued)))
      .returning({ id: orphanedTokens.id }),
  )
  const revocations = db.$with('revocations').as(
    db
      .delete(grantRevocations)
      .where(
        and(
          isEndedGrant(deps, userId, accountId, account.providerAccountId),
          hasOne(issued),
          // A new account has no orphans.
          isNew ? undefined : isDone(orphans),
        ),
      )
      .returning({ id: grantRevocations.id }),
  )
  const ended = db.$with('ended').as(
    db
      .update(connectAttempts)
      .set(end)
      .where(and(isAttempt(attempt), eq(connectAttempts.tokensSealed, sealed), hasOne(issued), isDone(revocations)))
      .returning({ id: connectAttempts.id }),
  )
  const happened = events.map(unplaced)
  const recorded = eventParts(deps, eventValues(userId, happened), sql`${ended}`)
  const [first] = await db
    .with(
      owner,
      ...(attempt.status === 'WAITING' ? [] : [session]),
      written,
      issued,
      ...(isNew ? [] : [orphans]),
      revocations,
      ended,
      ...recorded.all,
    )
    .select({
      linkVisibility: owner.linkVisibility,
      now: owner.now,
      isWritten: hasOne(written),
      isEnded: hasOne(ended),
      position: recorded.counter.position,
      endpointsVersion: recorded.counter.endpointsVersion,
    })
    .from(owner)
    .leftJoin(recorded.counter, sql`true`)
  if (first === undefined || !first.isWritten) return 'not-written'
  if (!first.isEnded) return 'taken-over'
  const { linkVisibility, now, position, endpointsVersion } = first
  if (position === null || endpointsVersion === null) throw new Error('Bug: a connection has got no events')
  await completeEvents(deps, userId, happened, { now, position, endpointsVersion }, linkVisibility === 'INTEGRATORS')
  return 'written'
}

// The new authorization has ended all earlier grants of the account, so that revoking one of them
// now could only end the new grant. Where X never said which account a grant belongs to, it may be
// this one. The requests of other users are found obsolete when they are due (revocation.ts).
function isEndedGrant(deps: Deps, userId: string, accountId: string, providerAccountId: string): SQL | undefined {
  const ofUser = deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(eq(connectedAccounts.userId, userId))
  return and(
    eq(grantRevocations.userId, userId),
    or(
      eq(grantRevocations.accountId, accountId),
      eq(grantRevocations.providerAccountId, providerAccountId),
      and(isNull(grantRevocations.providerAccountId), notInArray(grantRevocations.accountId, ofUser)),
    ),
  )
}
