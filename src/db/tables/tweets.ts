import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgTable, text, unique, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'
import { connectedAccounts } from './connected-accounts.ts'
import { users } from './users.ts'

export const tweetStatuses = ['PENDING', 'POSTED', 'FAILED', 'UNKNOWN', 'DELETED'] as const

export const replySettings = ['FOLLOWING', 'MENTIONED_USERS', 'SUBSCRIBERS', 'VERIFIED'] as const

/** A tweet, from before X is called to what became of it. Deleted only with its user: the idempotency key lives in it. */
export const tweets = pgTable(
  'tweets',
  {
    id: id(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    accountId: uuid()
      .notNull()
      .references(() => connectedAccounts.id, { onDelete: 'cascade' }),
    /** SHA-256 of the caller's idempotency key; null when none was given. */
    idempotencyKeyHash: text(),
    /** SHA-256 of the input, to tell a repetition from a reuse of the key. */
    requestHash: text().notNull(),
    text: text().notNull(),
    replyToXTweetId: text(),
    replySettings: text({ enum: replySettings }),
    madeWithAi: boolean().notNull().default(false),
    status: text({ enum: tweetStatuses }).notNull(),
    /** Raised each time a refused tweet is tried again under the same key. */
    attempt: integer().notNull().default(1),
    /** Whoever sends must be done by then; afterwards a PENDING row belongs to the sweeper. */
    claimedUntil: moment().notNull(),
    /** Durable mark, written before X is called: from here on the tweet may exist. */
    sentAt: moment(),
    /** The earliest sending whose outcome was unknown: the account's timeline is read from there. Kept when tried again. */
    doubtSince: moment(),
    /** Billed reads of the timeline spent on this tweet. */
    settleReads: integer().notNull().default(0),
    /**
     * Since when there may be a tweet although it was not X that answered: the timeline is looked at from here on before it is sent
     * again. Null where nothing is to be looked for.
     */
    mayExistSince: moment(),
    xTweetId: text(),
    errorCode: text(),
    /** What X said of it, where the code alone does not tell an operator enough: status, title and type. */
    errorDetail: text(),
    retryAt: moment(),
    createdAt: moment().notNull(),
    postedAt: moment(),
  },
  (table) => [
    unique('tweets_idempotency_key').on(table.userId, table.idempotencyKeyHash),
    index().on(table.userId, table.createdAt, table.id),
    // A post at X is one tweet of ours, decided by the database when two in doubt are found in one timeline. Those without an id of X
    // stand in it too, so that an account that is deleted finds all of its tweets by it.
    uniqueIndex('tweets_one_per_post').on(table.accountId, table.xTweetId),
    index('tweets_open').on(table.claimedUntil).where(sql`${table.status} = 'PENDING'`),
    check('tweets_status', oneOf(table.status, tweetStatuses)),
    check('tweets_posted', sql`${table.status} not in ('POSTED', 'DELETED') or ${table.xTweetId} is not null`),
    check('tweets_failed', sql`(${table.status} in ('FAILED', 'UNKNOWN')) = (${table.errorCode} is not null)`),
  ],
)
