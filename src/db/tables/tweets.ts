import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgTable, primaryKey, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf, rowId } from './columns.ts'
import { ofAccount } from './connected-accounts.ts'

export const tweetStatuses = ['PENDING', 'POSTED', 'FAILED', 'UNKNOWN', 'DELETED'] as const

export const replySettings = ['FOLLOWING', 'MENTIONED_USERS', 'SUBSCRIBERS', 'VERIFIED'] as const

/**
 * A tweet, inserted before X is called and updated by the outcome. Deleted only with its account or
 * user.
 */
export const tweets = pgTable(
  'tweets',
  {
    userId: uuid().notNull(),
    id: rowId(),
    accountId: uuid().notNull(),
    text: text().notNull(),
    replyToXTweetId: text(),
    replySettings: text({ enum: replySettings }),
    madeWithAi: boolean().notNull().default(false),
    status: text({ enum: tweetStatuses }).notNull(),
    /** Incremented each time a failed tweet is sent again under the same key. */
    attempt: integer().notNull().default(1),
    /** The deadline of the sender. After it, the sweep decides a PENDING row. */
    claimedUntil: moment().notNull(),
    /** Written before X is called: from then on the tweet may exist. */
    sentAt: moment(),
    /**
     * The first send with an unknown outcome: the timeline is read from there. Kept when sent
     * again.
     */
    unknownSince: moment(),
    /** The number of billed timeline reads for this tweet. */
    timelineReads: integer().notNull().default(0),
    /**
     * Set when a response was not X's own: a tweet may exist since then, so the timeline is
     * read before the tweet is sent again. Null otherwise.
     */
    mayExistSince: moment(),
    xTweetId: text(),
    errorCode: text(),
    /** Status, title and type of X's response, for operators. */
    errorDetail: text(),
    retryAt: moment(),
    createdAt: moment().notNull(),
    postedAt: moment(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    ofAccount('tweets_account', table),
    index().on(table.userId, table.createdAt, table.id),
    // One post at X belongs to one tweet, also when two UNKNOWN tweets are found in one timeline.
    // Not a partial index: the deletion of an account finds all of its tweets by it.
    uniqueIndex('tweets_one_per_post').on(table.userId, table.accountId, table.xTweetId),
    index('tweets_open').on(table.claimedUntil).where(sql`${table.status} = 'PENDING'`),
    // Those that the reconciliation has given up keep the status, with the highest number of reads.
    index('tweets_unknown').on(table.timelineReads).where(sql`${table.status} = 'UNKNOWN'`),
    check('tweets_status', oneOf(table.status, tweetStatuses)),
    check('tweets_posted', sql`${table.status} not in ('POSTED', 'DELETED') or ${table.xTweetId} is not null`),
    check('tweets_failed', sql`(${table.status} in ('FAILED', 'UNKNOWN')) = (${table.errorCode} is not null)`),
  ],
)
