// Claims a new tweet: one statement chooses the account, takes the idempotency key, inserts the tweet,
// and reads the token to send it with. It inserts nothing if any of that is not possible; the
// caller then finds out why.
import { randomUUID } from 'node:crypto'
import { and, count, eq, inArray, isNull, sql } from 'drizzle-orm'
import { type TokenRow, toTokenRow } from '../accounts/usable-token.ts'
import { sqlIn } from '../db/clock.ts'
import { insertedValues } from '../db/inserted-values.ts'
import { fixedLimit, prepareForms } from '../db/prepared-query.ts'
import { isRowId } from '../db/row-id.ts'
import { hasOne } from '../db/statement-parts.ts'
import { connectedAccounts, idempotencyKeys, oauthTokens, tweets } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import type { XTweetRequest } from '../x/api.ts'
import { type IdempotencyKey, isKey, KEY_KEPT_SECONDS } from './idempotency-keys.ts'
import { isTweet, type Tweet } from './outcome.ts'
import { premiumSubscriptions } from './tweet-input.ts'

/** A tweet that this caller may send. */
export type Claim = {
  tweet: Tweet
  /** Of the account that it was claimed for. */
  username: string
  /** By `performance.now()`, before the statement. */
  claimedAt: number
  /** The account's token; null where it has none. */
  token: TokenRow | null
}

/** A tweet to be claimed. */
export type NewTweet = XTweetRequest & {
  userId: string
  /** Null for the user's only ACTIVE account. */
  accountId: string | null
  /** True for a text that only accounts with a premium subscription can post. */
  isLong: boolean
}

/**
 * Inserts a tweet as PENDING, together with its key.
 * @param key null to insert the tweet without one.
 * @returns null when nothing was inserted: the key is in use, or the account cannot post this.
 */
export async function claimTweet(deps: Deps, input: NewTweet, key: IdempotencyKey | null): Promise<Claim | null> {
  const { userId, accountId, isLong, ...request } = input
  if (accountId !== null && !isRowId(accountId)) return null
  const claimedAt = performance.now()
  const form = { hasKey: key !== null, hasAccount: accountId !== null, isLong }
  const [claimed] = await insertClaim(deps, form, {
    ...request,
    userId,
    id: randomUUID(),
    claimSeconds: deps.timing.tweetClaimSeconds,
    ...(accountId !== null && { accountId }),
    ...(key !== null && { keyHash: key.hash, requestHash: key.requestHash }),
  })
  if (claimed === undefined) return null
  const { inserted: tweet, chosen: account, oauth_tokens: tokens } = claimed
  // Its creation is the time of this statement.
  return { tweet, username: account.username, claimedAt, token: tokens && toTokenRow(tokens, tweet.createdAt) }
}

const insertClaim = prepareForms(
  ({ hasKey, hasAccount, isLong }: { hasKey: boolean; hasAccount: boolean; isLong: boolean }) =>
    [hasKey, hasAccount, isLong].join(),
  ({ db, clock }, { hasKey, hasAccount, isLong }) => {
    const given = sql.placeholder
    const userId = given('userId')
    // As `chooseAccount` in post.ts, which explains a refusal.
    const isAsked = hasAccount
      ? and(
          eq(connectedAccounts.id, given('accountId')),
          inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED']),
          sql`'tweet.write' = any(${connectedAccounts.scopes})`,
        )
      : eq(connectedAccounts.status, 'ACTIVE')
    const candidates = db.$with('candidates').as(
      db
        .select({
          id: connectedAccounts.id,
          subscriptionType: connectedAccounts.subscriptionType,
          username: connectedAccounts.username,
        })
        .from(connectedAccounts)
        .where(and(eq(connectedAccounts.userId, userId), isAsked))
        .limit(fixedLimit(2)),
    )
    const isOnly = eq(db.select({ number: count() }).from(candidates), 1)
    const isLongEnough = isLong ? inArray(candidates.subscriptionType, [...premiumSubscriptions]) : undefined
    const chosen = db
      .$with('chosen')
      .as(
        db
          .select({ id: candidates.id, username: candidates.username })
          .from(candidates)
          .where(and(isOnly, isLongEnough)),
      )
    const taken = db.$with('taken').as(
      db
        .insert(idempotencyKeys)
        .select(
          sql`select ${userId}::uuid, ${given('keyHash')}, ${given('requestHash')}, ${given('id')}::uuid, ${sqlIn(clock, KEY_KEPT_SECONDS)} from ${chosen}`,
        )
        .onConflictDoNothing({ target: [idempotencyKeys.userId, idempotencyKeys.keyHash] })
        .returning({ userId: idempotencyKeys.userId }),
    )
    const values = insertedValues(tweets, {
      userId,
      id: given('id'),
      text: given('text'),
      replyToXTweetId: given('replyToXTweetId'),
      replySettings: given('replySettings'),
      madeWithAi: given('madeWithAi'),
      accountId: sql`${chosen}.id`,
      status: 'PENDING',
      claimedUntil: sqlIn(clock, given('claimSeconds')),
      createdAt: clock.sqlNow(),
    })
    const inserted = db.$with('inserted').as(
      db
        .insert(tweets)
        .select(hasKey ? sql`select ${values} from ${chosen}, ${taken}` : sql`select ${values} from ${chosen}`)
        .returning(),
    )
    return db
      .with(...(hasKey ? [candidates, chosen, taken, inserted] : [candidates, chosen, inserted]))
      .select()
      .from(inserted)
      .innerJoin(chosen, eq(chosen.id, inserted.accountId))
      .leftJoin(oauthTokens, and(eq(oauthTokens.userId, userId), eq(oauthTokens.accountId, inserted.accountId)))
  },
)

/**
 * Deletes a claim that nothing was sent for, so that its key is unused. A tweet that another caller
 * has sent since, after the sweep had ended this claim, keeps its key: it would be posted twice.
 */
export async function withdrawClaim({ db }: Deps, tweet: Tweet, key: IdempotencyKey | null): Promise<void> {
  const isUnsent = and(
    isTweet(tweet),
    eq(tweets.status, 'PENDING'),
    eq(tweets.attempt, tweet.attempt),
    isNull(tweets.sentAt),
  )
  if (key === null) return void (await db.delete(tweets).where(isUnsent))
  const isItsKey = and(isKey(tweet.userId, key), eq(idempotencyKeys.tweetId, tweet.id))
  // Locked in the order of `claimTweetAgain`: the user, the key, the tweet.
  const owner = db.$with('owner').as(lockedUser(db, tweet.userId))
  const locked = db.$with('locked').as(
    db
      .select({ tweetId: idempotencyKeys.tweetId })
      .from(idempotencyKeys)
      .where(and(isItsKey, hasOne(owner)))
      .for('update'),
  )
  const withdrawn = db.$with('withdrawn').as(
    db
      .delete(tweets)
      .where(and(isUnsent, inArray(tweets.id, db.select({ tweetId: locked.tweetId }).from(locked))))
      .returning({ id: tweets.id }),
  )
  await db
    .with(owner, locked, withdrawn)
    .delete(idempotencyKeys)
    .where(and(isItsKey, inArray(idempotencyKeys.tweetId, db.select({ id: withdrawn.id }).from(withdrawn))))
}
