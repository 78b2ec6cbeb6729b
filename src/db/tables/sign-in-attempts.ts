import { sql } from 'drizzle-orm'
import { check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'

export const signInAttemptStatuses = ['PENDING', 'SUCCEEDED', 'FAILED'] as const

/**
 * A sign-in at GitHub. It has no user before it succeeds, so it is found by its state. The first
 * leg inserts it; the callback takes it exactly once, by an UPDATE that also deletes the verifier.
 * The row stays for a browser that returns late. Deleted by the sweep after an hour, and with the
 * user who signed in.
 */
export const signInAttempts = pgTable(
  'sign_in_attempts',
  {
    /** SHA-256 of the state parameter. */
    stateHash: text().primaryKey(),
    /** Names the attempt in the log. */
    id: uuid().notNull(),
    /** SHA-256 of the cookie that binds the attempt to one browser. */
    browserHash: text().notNull(),
    /** The PKCE code verifier, sealed; null once the attempt is taken. */
    verifierSealed: text(),
    returnTo: text(),
    /** SHA-256 of the invite that the sign-in was started with; null without one. */
    inviteHash: text(),
    status: text({ enum: signInAttemptStatuses }).notNull().default('PENDING'),
    errorCode: text(),
    /**
     * The user who signed in and the session that was started; null before. No foreign keys: the
     * attempt outlives a sign-out, and the user's rows may be on another node.
     */
    userId: uuid(),
    sessionId: text(),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
    takenAt: moment(),
    finishedAt: moment(),
  },
  (table) => [
    index().on(table.expiresAt),
    // The deletion of a user finds their attempts by it.
    index().on(table.userId).where(sql`${table.userId} is not null`),
    check('sign_in_attempts_status', oneOf(table.status, signInAttemptStatuses)),
  ],
)
