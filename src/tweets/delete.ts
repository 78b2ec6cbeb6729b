import { and, eq } from 'drizzle-orm'
import { withAccessToken } from '../accounts/access-token.ts'
import { tweets } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { deleteXTweet } from '../x/api.ts'
import { refusalError } from '../x/refusals.ts'
import { isTweet, type Tweet } from './outcome.ts'
import { findTweet } from './tweets.ts'

/**
 * Deletes a posted tweet at X, and sets it to DELETED. Does nothing for a DELETED tweet.
 * @throws AppError TWEET_NOT_FOUND, TWEET_NOT_DELETABLE, and the errors of the call to X, after
 * which the tweet is still POSTED.
 */
export async function deleteTweet(deps: Deps, userId: string, tweetId: string): Promise<Tweet> {
  const tweet = await findTweet(deps, userId, tweetId)
  if (tweet === null) throw new AppError('TWEET_NOT_FOUND', { field: ['input', 'tweetId'] })
  if (tweet.status === 'DELETED') return tweet
  const { xTweetId } = tweet
  if (tweet.status !== 'POSTED' || xTweetId === null)
    throw new AppError('TWEET_NOT_DELETABLE', { field: ['input', 'tweetId'] })
  const result = await withAccessToken(deps, { id: tweet.accountId, userId }, 'DELETE_TWEET', (accessToken) =>
    deleteXTweet(deps, accessToken, xTweetId),
  )
  if (result.kind === 'refused') {
    deps.log.warn({ tweetId, errorCode: result.code, x: result.problem }, 'X refused to delete a tweet')
    throw refusalError(result)
  }
  // A tweet can be deleted twice without harm, so the caller can retry an unknown outcome.
  if (result.kind === 'unknown') throw new AppError('X_UNAVAILABLE', { cause: result.cause })
  return transaction(deps, async (deps) => {
    await lockUsers(deps.db, [userId])
    const [deleted] = await deps.db
      .update(tweets)
      .set({ status: 'DELETED' })
      .where(and(isTweet(tweet), eq(tweets.status, 'POSTED')))
      .returning()
    if (deleted !== undefined)
      await recordEvent(deps, { type: 'tweet.deleted', userId, accountId: tweet.accountId, tweetId: tweet.id })
    // Another call has deleted it first.
    return deleted ?? { ...tweet, status: 'DELETED' }
  })
}
