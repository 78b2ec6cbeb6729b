import type { DefaultConnectionArguments } from '@pothos/plugin-relay'
import type { replySettings, tweetStatuses } from '../../db/tables.ts'
import { deleteTweet } from '../../tweets/delete.ts'
import type { Tweet } from '../../tweets/outcome.ts'
import { postTweet } from '../../tweets/post.ts'
import { countTweets, findTweet, listTweets, type ShownTweet, tweetError } from '../../tweets/tweets.ts'
import { builder, COUNT_COMPLEXITY, describeValues, type ViewerFields } from '../builder.ts'
import { type GraphqlContext, getUser } from '../context.ts'
import { rowCursor } from '../cursor.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { pageComplexity, resolvePage } from '../pagination.ts'
import { payloadRef, toPayload, toUserError, UserErrorRef } from '../payload.ts'
import { ConnectedAccountRef } from './connected-account.ts'
import { NodeRef } from './node-interface.ts'

const statusDescriptions: Record<(typeof tweetStatuses)[number], string> = {
  PENDING: 'The gateway is sending the tweet to X.',
  POSTED: 'X has posted the tweet: see `xTweetId`.',
  FAILED: 'X has not posted the tweet: see `error`.',
  UNKNOWN: 'X did not say whether it posted the tweet. The gateway does not send it again by itself.',
  DELETED: 'The tweet was posted, and then deleted through this API.',
}

/** The state of a tweet. */
export const TweetStatusRef = builder.enumType('TweetStatus', {
  description: 'The state of a tweet.',
  values: describeValues(statusDescriptions),
})

const replyDescriptions: Record<(typeof replySettings)[number], string> = {
  FOLLOWING: 'Only accounts that the author follows.',
  MENTIONED_USERS: 'Only accounts mentioned in the tweet.',
  SUBSCRIBERS: "Only the author's subscribers.",
  VERIFIED: 'Only verified accounts.',
}

const ReplySettingsRef = builder.enumType('ReplySettings', {
  description: 'The accounts that may reply to a tweet. Without a value everybody may.',
  values: describeValues(replyDescriptions),
})

/** A tweet of the user. */
export const TweetRef = builder.objectRef<ShownTweet>('Tweet').implement({
  interfaces: [NodeRef],
  description: 'A tweet that was sent through this API, posted or not.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the tweet. It exists before X gives the tweet an id." }),
    xTweetId: t.exposeID('xTweetId', {
      nullable: true,
      description: "X's id of the tweet, a decimal string; null unless X has posted it.",
    }),
    url: t.string({
      nullable: true,
      description: 'The URL of the tweet at X; null unless POSTED.',
      resolve: async ({ status, xTweetId, accountId, username }, _args, { deps, accounts }) =>
        status === 'POSTED'
          ? `${deps.config.x.url}/${username ?? (await accounts.load(accountId)).username}/status/${xTweetId}`
          : null,
    }),
    text: t.exposeString('text', {
      description: 'The text as it was given to `postTweet`. X shortens URLs and may escape characters.',
    }),
    status: t.expose('status', { type: TweetStatusRef, description: 'The state of the tweet.' }),
    error: t.field({
      type: UserErrorRef,
      nullable: true,
      description: 'The reason why the tweet is FAILED or UNKNOWN; null otherwise.',
      resolve: (tweet) => {
        const error = tweetError(tweet)
        return error && toUserError(error)
      },
    }),
    account: t.field({
      type: ConnectedAccountRef,
      authScopes: { scope: 'accounts:read' },
      description: 'The account that the tweet was sent with.',
      resolve: ({ accountId }, _args, { accounts }) => accounts.load(accountId),
    }),
    replyToXTweetId: t.exposeID('replyToXTweetId', {
      nullable: true,
      description: "X's id of the tweet that this one replies to, a decimal string; null when it is not a reply.",
    }),
    replySettings: t.expose('replySettings', {
      type: ReplySettingsRef,
      nullable: true,
      description: 'The accounts that may reply, as given to `postTweet`; null when everybody may.',
    }),
    madeWithAi: t.exposeBoolean('madeWithAi', {
      description: 'True when `postTweet` was asked to label the tweet as made with AI.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When `postTweet` was first called for the tweet.',
    }),
    postedAt: t.expose('postedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When X posted the tweet; null unless it did.',
    }),
  }),
})

/** A tweet in a list. */
const TweetEdgeRef = builder.edgeObject({
  type: TweetRef,
  name: 'TweetEdge',
  description: 'A tweet and its cursor in the list.',
})

/** A page of tweets. */
const TweetConnectionRef = builder.connectionObject(
  {
    type: TweetRef,
    name: 'TweetConnection',
    description: 'A page of tweets.',
    fields: (t) => ({
      totalCount: t.int({
        complexity: COUNT_COMPLEXITY,
        description: `The number of tweets on all pages together. It counts ${COUNT_COMPLEXITY} towards the complexity of the document.`,
        resolve: ({ countAll }) => {
          if (countAll === undefined) throw new Error('Bug: a page of tweets cannot count them')
          return countAll()
        },
      }),
    }),
  },
  TweetEdgeRef,
)

/** A page of a user's tweets. */
async function resolveTweets(
  { deps }: GraphqlContext,
  userId: string,
  args: DefaultConnectionArguments & { accountId?: string | null },
) {
  const accountId = args.accountId ?? null
  const page = await resolvePage(args, rowCursor, ({ after, before, ...rest }) =>
    // Newest first: what comes after a cursor is older.
    listTweets(deps, userId, { ...rest, accountId, olderThan: after, newerThan: before }),
  )
  return { ...page, countAll: () => countTweets(deps, userId, accountId) }
}

const ONLY_TWEETS_OF_ACCOUNT =
  'Only tweets of the account with this `ConnectedAccount.id`. Default: tweets of all accounts.'

/** The field `tweets` of the root and of `User`. */
export const tweetsField = (t: ViewerFields) =>
  t.connection(
    {
      type: TweetRef,
      authScopes: { scope: 'tweets:read' },
      description: "The viewer's tweets, newest first, as a Relay connection: 20 a page by default, 100 at most.",
      args: { accountId: t.arg.id({ description: ONLY_TWEETS_OF_ACCOUNT }) },
      complexity: pageComplexity,
      resolve: (_, args, context) => resolveTweets(context, getUser(context).id, args),
    },
    TweetConnectionRef,
    TweetEdgeRef,
  )

builder.queryFields((t) => ({
  tweet: t.field({
    type: TweetRef,
    nullable: true,
    authScopes: { scope: 'tweets:read' },
    description: "One of the viewer's tweets; null when there is none with this id.",
    args: { tweetId: t.arg.id({ required: true, description: 'The `Tweet.id` of the tweet.' }) },
    resolve: (_, { tweetId }, context) => findTweet(context.deps, getUser(context).id, tweetId),
  }),
  tweets: tweetsField(t),
}))

const PostTweetInput = builder.inputType('PostTweetInput', {
  description: 'The tweet to post.',
  fields: (t) => ({
    text: t.string({
      required: true,
      description: 'Up to 280 characters as X counts them (every URL 23, most emoji and CJK 2), more with X Premium.',
    }),
    accountId: t.id({
      description: "The `ConnectedAccount.id` of the account that posts. Default: the viewer's only ACTIVE account.",
    }),
    idempotencyKey: t.string({
      description:
        'A key of your choice for this tweet: 1 to 255 characters, without lone surrogates and U+0000. For 30 days after its tweet was last sent, the same key with the same input returns the first result and posts nothing twice; afterwards it may post a new tweet. Give a key whenever you may retry.',
    }),
    replyToXTweetId: t.id({
      description:
        "X's id of the tweet to reply to, as a string: it has more digits than a number in JSON keeps. X allows that only where its author mentioned or quoted the account.",
    }),
    replySettings: t.field({ type: ReplySettingsRef, description: 'The accounts that may reply. Default: everybody.' }),
    madeWithAi: t.boolean({ description: 'Labels the tweet as made with AI. Default: false.' }),
  }),
})

const PostTweetPayloadRef = payloadRef<ShownTweet>(
  'PostTweetPayload',
  'The reason why there is no tweet, or why it is FAILED or UNKNOWN. Empty when it is POSTED.',
).implement({
  description: 'The result of `postTweet`.',
  fields: (t) => ({
    tweet: t.field({
      type: TweetRef,
      nullable: true,
      description: 'The tweet in its state after the call; null when the input was refused before a tweet was stored.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

const DeleteTweetInput = builder.inputType('DeleteTweetInput', {
  description: 'The tweet to delete.',
  fields: (t) => ({ tweetId: t.id({ required: true, description: 'The `Tweet.id` of the tweet.' }) }),
})

const DeleteTweetPayloadRef = payloadRef<Tweet>('DeleteTweetPayload').implement({
  description: 'The result of `deleteTweet`.',
  fields: (t) => ({
    tweet: t.field({
      type: TweetRef,
      nullable: true,
      description: 'The tweet, now DELETED; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationFields((t) => ({
  postTweet: t.field({
    type: PostTweetPayloadRef,
    nullable: true,
    authScopes: { scope: 'tweets:write' },
    complexity: mutationComplexity({ rows: 6, events: 1, callsService: true }),
    description: 'Posts a tweet and waits for the result of X. X bills the operator for each tweet.',
    args: { input: t.arg({ type: PostTweetInput, required: true, description: 'The tweet to post.' }) },
    resolve: async (_, { input }, context) => {
      const payload = await toPayload(() =>
        postTweet(context.deps, getUser(context).id, {
          text: input.text,
          accountId: input.accountId ?? null,
          idempotencyKey: input.idempotencyKey ?? null,
          replyToXTweetId: input.replyToXTweetId ?? null,
          replySettings: input.replySettings ?? null,
          madeWithAi: input.madeWithAi ?? false,
        }),
      )
      const error = payload.thing && tweetError(payload.thing)
      return error === null ? payload : { ...payload, userErrors: [toUserError(error)] }
    },
  }),
  deleteTweet: t.field({
    type: DeleteTweetPayloadRef,
    nullable: true,
    authScopes: { scope: 'tweets:write' },
    complexity: mutationComplexity({ rows: 3, events: 1, callsService: true }),
    description: 'Deletes a posted tweet at X.',
    args: { input: t.arg({ type: DeleteTweetInput, required: true, description: 'The tweet to delete.' }) },
    resolve: (_, { input }, context) => toPayload(() => deleteTweet(context.deps, getUser(context).id, input.tweetId)),
  }),
}))
