// What the operator reads of all users. One object below the root, because its names are those of the
// viewer's own lists.
import { findAccount, listAccounts } from '../../administration/accounts.ts'
import { listJobs } from '../../administration/jobs.ts'
import { COUNTED_AT_MOST, type RowCount, readStats, type Stats } from '../../administration/stats.ts'
import { findTweet, listTweetsOfUser, listUnknownTweets } from '../../administration/tweets.ts'
import { findUser, listUsers } from '../../administration/users.ts'
import { listInvites, MAX_INVITES } from '../../auth/invites.ts'
import type { JobName } from '../../db/jobs.ts'
import { builder, COUNT_COMPLEXITY } from '../builder.ts'
import { idCursor, unknownTweetCursor } from '../cursor.ts'
import { pageComplexity, resolvePage } from '../pagination.ts'
import { AdminAccountRef } from './admin-account.ts'
import { AdminInviteRef } from './admin-invite.ts'
import { AdminJobRef, JobQueueRef } from './admin-job.ts'
import { AdminTweetRef } from './admin-tweet.ts'
import { AdminUserRef, readUserFilter, userFilterArguments } from './admin-user.ts'

const NO_COUNT = 'Counting them would read all of them at each request, so it has no total count.'
const ID_ORDER = '20 a page by default, 100 at most. The order has no meaning and stays the same.'

const RowCountRef = builder.objectRef<RowCount>('RowCount').implement({
  description: 'A number of rows, which is estimated where counting them would take long.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'The number of rows.' }),
    isExact: t.exposeBoolean('isExact', {
      description: `True when \`count\` is exact, which it is up to ${COUNTED_AT_MOST.toLocaleString('en')} rows. Beyond that it is the estimate in PostgreSQL's statistics or, where there is none, ${COUNTED_AT_MOST.toLocaleString('en')}.`,
    }),
  }),
})

const JobCountRef = builder.objectRef<Stats['jobs'][number]>('JobCount').implement({
  description: 'The number of jobs in one queue.',
  fields: (t) => ({
    queue: t.field({ type: JobQueueRef, description: 'The queue that is counted.', resolve: ({ queue }) => queue }),
    count: t.exposeInt('count', {
      description: `The number of jobs that wait, run or have failed: ${COUNTED_AT_MOST.toLocaleString('en')} at most.`,
    }),
    failed: t.exposeInt('failed', { description: 'The number of those jobs that have failed for good.' }),
  }),
})

const countField = (description: string) => ({ type: RowCountRef, description })

const AdminStatsRef = builder.objectRef<Stats>('AdminStats').implement({
  description: 'Figures of the whole deployment.',
  fields: (t) => ({
    users: t.expose('users', countField('The number of users.')),
    accounts: t.expose('accounts', countField('The number of X accounts, connected and disconnected.')),
    tweets: t.expose('tweets', countField('The number of tweets, of all states.')),
    pendingTweets: t.expose('pendingTweets', countField('The number of PENDING tweets, which are being posted.')),
    unknownTweets: t.expose(
      'unknownTweets',
      countField('The number of UNKNOWN tweets: X did not say whether it had posted them.'),
    ),
    deletions: t.expose('deletions', countField('The number of deletions of users that are under way.')),
    jobs: t.expose('jobs', { type: [JobCountRef], description: 'The number of background jobs in each queue.' }),
  }),
})

const AdminRef = builder.objectRef<object>('Admin').implement({
  description: 'Everything that an operator of the gateway can read of all users.',
  fields: (t) => ({
    user: t.field({
      type: AdminUserRef,
      nullable: true,
      description: 'The user with this id; null when there is none.',
      args: { userId: t.arg.id({ required: true, description: 'The id of the user.' }) },
      resolve: (_, { userId }, { deps }) => findUser(deps, String(userId)),
    }),
    users: t.connection(
      {
        type: AdminUserRef,
        description: `All users, or those of a filter: ${ID_ORDER}`,
        complexity: pageComplexity,
        args: {
          githubLogin: t.arg.string({ description: userFilterArguments.githubLogin }),
          xUsername: t.arg.string({ description: userFilterArguments.xUsername }),
        },
        resolve: (_, args, { deps }) =>
          resolvePage(args, idCursor, (page) => listUsers(deps, readUserFilter(args), toIdPage(page))),
      },
      { name: 'AdminUserConnection', description: `A page of users. ${NO_COUNT}` },
      { name: 'AdminUserEdge', description: 'A user and their cursor in the list.' },
    ),
    account: t.field({
      type: AdminAccountRef,
      nullable: true,
      description: 'The X account with this id; null when there is none.',
      args: { accountId: t.arg.id({ required: true, description: 'The id of the account.' }) },
      resolve: (_, { accountId }, { deps }) => findAccount(deps, String(accountId)),
    }),
    accounts: t.connection(
      {
        type: AdminAccountRef,
        description: `The X accounts of all users, or those of a filter, connected and disconnected: ${ID_ORDER}`,
        complexity: pageComplexity,
        args: {
          userId: t.arg.id({ description: 'Only accounts of the user with this id.' }),
          xUsername: t.arg.string({
            description: 'Only accounts with this username at X, with or without the @, in any case.',
          }),
        },
        resolve: (_, args, { deps }) =>
          resolvePage(args, idCursor, (page) => {
            const { userId = null, xUsername = null } = args
            return listAccounts(deps, { userId: userId === null ? null : String(userId), xUsername }, toIdPage(page))
          }),
      },
      { name: 'AdminAccountConnection', description: `A page of accounts. ${NO_COUNT}` },
      { name: 'AdminAccountEdge', description: 'An account and its cursor in the list.' },
    ),
    tweet: t.field({
      type: AdminTweetRef,
      nullable: true,
      description: 'The tweet of this user with this id; null when there is none.',
      args: {
        userId: t.arg.id({ required: true, description: 'The id of the user.' }),
        tweetId: t.arg.id({ required: true, description: 'The id of the tweet.' }),
      },
      resolve: (_, { userId, tweetId }, { deps }) => findTweet(deps, { userId: String(userId), id: String(tweetId) }),
    }),
    tweets: t.connection(
      {
        type: AdminTweetRef,
        description: `The tweets of one user, of all states: ${ID_ORDER}`,
        complexity: pageComplexity,
        args: { userId: t.arg.id({ required: true, description: 'The id of the user.' }) },
        resolve: (_, args, { deps }) =>
          resolvePage(args, idCursor, (page) => listTweetsOfUser(deps, String(args.userId), toIdPage(page))),
      },
      { name: 'AdminTweetConnection', description: `A page of tweets. ${NO_COUNT}` },
      { name: 'AdminTweetEdge', description: 'A tweet and its cursor in the list.' },
    ),
    unknownTweets: t.connection(
      {
        type: AdminTweetRef,
        description:
          'The tweets of all users that are UNKNOWN: first those that the gateway has looked for least often. 20 a page by default, 100 at most. A tweet that is looked for while you read the pages moves to a later one, and may come twice.',
        complexity: pageComplexity,
        resolve: (_, args, { deps }) => resolvePage(args, unknownTweetCursor, (page) => listUnknownTweets(deps, page)),
      },
      { name: 'UnknownTweetConnection', description: `A page of tweets in doubt. ${NO_COUNT}` },
      { name: 'UnknownTweetEdge', description: 'A tweet in doubt and its cursor in the list.' },
    ),
    jobs: t.connection(
      {
        type: AdminJobRef,
        description: `The background jobs of one queue, those that wait, run or have failed: ${ID_ORDER}`,
        complexity: pageComplexity,
        args: { queue: t.arg({ type: JobQueueRef, required: true, description: 'The queue whose jobs are listed.' }) },
        resolve: (_, args, { deps }) =>
          resolvePage(args, idCursor, (page) => listJobs(deps, args.queue as JobName, toIdPage(page))),
      },
      { name: 'AdminJobConnection', description: `A page of jobs. ${NO_COUNT}` },
      { name: 'AdminJobEdge', description: 'A job and its cursor in the list.' },
    ),
    invites: t.field({
      type: [AdminInviteRef],
      description: `The open invites, newest first: ${MAX_INVITES} at most.`,
      complexity: { field: 1, multiplier: MAX_INVITES },
      resolve: (_, _args, { deps }) => listInvites(deps),
    }),
    stats: t.field({
      type: AdminStatsRef,
      description: `Figures of the whole deployment. Large numbers are estimated: see \`RowCount.isExact\`.`,
      complexity: { field: 10 * COUNT_COMPLEXITY, multiplier: 1 },
      resolve: (_, _args, { deps }) => readStats(deps),
    }),
  }),
})

builder.queryField('admin', (t) =>
  t.field({
    type: AdminRef,
    authScopes: { operator: 'admin:read' },
    description: 'What the operator reads of all users: users, accounts, tweets, jobs, invites and figures.',
    resolve: () => ({}),
  }),
)

type Place = { id: string }

function toIdPage({
  after,
  before,
  ...page
}: {
  after: Place | null
  before: Place | null
  limit: number
  backward: boolean
}) {
  return { ...page, after: after?.id ?? null, before: before?.id ?? null }
}
