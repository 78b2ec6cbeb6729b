import { type AdminTweet, reconcileUserTweet } from '../../administration/tweets.ts'
import { isErrorCode } from '../../error-codes.ts'
import { builder } from '../builder.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { ErrorCodeRef, payloadRef, toPayload } from '../payload.ts'
import { actorOf } from './admin-user.ts'
import { TweetStatusRef } from './tweet.ts'

/** A tweet, as the operator sees it. */
export const AdminTweetRef = builder.objectRef<AdminTweet>('AdminTweet').implement({
  description: 'A tweet of a user, as the operator of the gateway sees it: its state, and not its text.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the tweet, as in events and in the log." }),
    userId: t.exposeID('userId', { description: 'The `AdminUser.id` of the user who posted it.' }),
    accountId: t.exposeID('accountId', { description: 'The `AdminAccount.id` of the account that posts it.' }),
    status: t.expose('status', { type: TweetStatusRef, description: 'The state of the tweet.' }),
    errorCode: t.field({
      type: ErrorCodeRef,
      nullable: true,
      description: 'Why the tweet is FAILED or UNKNOWN; null otherwise.',
      resolve: ({ errorCode }) => (errorCode !== null && isErrorCode(errorCode) ? errorCode : null),
    }),
    errorDetail: t.exposeString('errorDetail', {
      nullable: true,
      description: "The status, title and type of X's response; null where there was none.",
    }),
    attempt: t.exposeInt('attempt', {
      description: 'The number of attempts to post the tweet, with those that ended before X was called.',
    }),
    timelineReads: t.exposeInt('timelineReads', {
      description:
        'How often the gateway has read the timeline to find an UNKNOWN tweet. It gives up after three reads.',
    }),
    xTweetId: t.exposeID('xTweetId', { nullable: true, description: "X's id of the tweet; null until it is known." }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the tweet was requested.' }),
    unknownSince: t.expose('unknownSince', {
      type: 'DateTime',
      nullable: true,
      description: 'When X first did not say whether it had posted the tweet; null when it always has.',
    }),
    postedAt: t.expose('postedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When X posted the tweet; null when it did not.',
    }),
  }),
})

const ReconcileUserTweetInput = builder.inputType('ReconcileUserTweetInput', {
  description: 'The tweet to look for.',
  fields: (t) => ({
    userId: t.id({ required: true, description: 'The `AdminTweet.userId` of the tweet.' }),
    tweetId: t.id({ required: true, description: 'The `AdminTweet.id` of the tweet.' }),
  }),
})

const ReconcileUserTweetPayloadRef = payloadRef<AdminTweet>('ReconcileUserTweetPayload').implement({
  description: 'The result of `reconcileUserTweet`.',
  fields: (t) => ({
    tweet: t.field({
      type: AdminTweetRef,
      nullable: true,
      description: 'The tweet, which is looked for from now on; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('reconcileUserTweet', (t) =>
  t.field({
    type: ReconcileUserTweetPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 2, events: 2 }),
    description:
      'Has the gateway look for an UNKNOWN tweet in the timeline of its account once more, in the background and up to three times. X bills these reads. Does nothing while it is looking already. Recorded as OPERATOR_TWEET_RECONCILED. Fails with TWEET_NOT_FOUND, or TWEET_NOT_UNKNOWN for a tweet of which the outcome is known.',
    args: { input: t.arg({ type: ReconcileUserTweetInput, required: true, description: 'The tweet to look for.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => {
        const key = { userId: String(input.userId), id: String(input.tweetId) }
        return reconcileUserTweet(context.deps, actorOf(context), key)
      }),
  }),
)
