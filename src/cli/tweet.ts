// xconnect tweet: the tweets of the users, without their texts.
import {
  type AdminTweet,
  findTweet,
  listTweetsOfUser,
  listUnknownTweets,
  reconcileUserTweet,
} from '../administration/tweets.ts'
import { AppError } from '../errors.ts'
import { commandActor } from './actor.ts'
import {
  type AdminWork,
  confirm,
  pageOptions,
  parsePage,
  printObject,
  printPage,
  resolveUser,
  toIdPage,
} from './administration.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const TWEET_USAGE = `  xconnect tweet list --status unknown [--limit N] [--json]
                           list the tweets of which X did not say whether it had posted them
  xconnect tweet list --user USER [--limit N] [--after ID] [--json]
                           list the tweets of a user
  xconnect tweet show ID --user USER [--json]
                           show the state of a tweet
  xconnect tweet reconcile ID --user USER [--as NAME] [--yes]
                           look for an unknown tweet in the timeline once more; X bills up to three reads`

const ERRORS = {
  TWEET_NOT_FOUND: 'This user has no tweet with this id.',
  USER_NOT_FOUND: 'There is no such user. xconnect user list shows the ids.',
}

/**
 * Parses the arguments of `xconnect tweet`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseTweetCommand(words: readonly string[]): AdminWork {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): AdminWork {
  if (verb === 'list') return list(rest)
  const [id = '', ...others] = rest
  if (id === '' || id.startsWith('-') || (verb !== 'show' && verb !== 'reconcile')) throw new UsageError()
  const {
    user,
    json = false,
    yes = false,
    as,
  } = parseOptions(others, {
    user: { type: 'string' },
    json: { type: 'boolean' },
    as: { type: 'string' },
    yes: { type: 'boolean' },
  })
  if (user === undefined) throw new UsageError('--user is missing: a tweet is found by its user and its id.')
  if (verb === 'show')
    return async (deps, output) => {
      const tweet = await findTweet(deps, { userId: await resolveUser(deps, user), id })
      if (tweet === null) throw new AppError('TWEET_NOT_FOUND')
      return printObject(output, json, tweet)
    }
  const actor = commandActor(as)
  return async (deps, output) => {
    const userId = await resolveUser(deps, user)
    if (!(await confirm(output, yes, `Read the timeline up to three times for the tweet ${id}?`))) return 1
    await reconcileUserTweet(deps, actor, { userId, id })
    output.message('A gateway looks for the tweet. xconnect tweet show shows the result.')
    return 0
  }
}

function list(words: readonly string[]): AdminWork {
  const options = parseOptions(words, { status: { type: 'string' }, user: { type: 'string' }, ...pageOptions })
  const page = parsePage(options)
  const { status, user } = options
  if (status !== undefined && status.toLowerCase() !== 'unknown') throw new UsageError('--status takes unknown.')
  if ((status === undefined) === (user === undefined)) throw new UsageError('Give --status unknown or --user.')
  if (user !== undefined)
    return async (deps, output) => {
      const tweets = await listTweetsOfUser(deps, await resolveUser(deps, user), toIdPage(page))
      return printPage(output, page, tweets, describe)
    }
  if (page.after !== null) throw new UsageError('--after is for the tweets of a user.')
  return async (deps, output) => {
    const tweets = await listUnknownTweets(deps, { after: null, before: null, limit: page.limit, backward: false })
    return printPage(output, page, tweets, describe)
  }
}

function describe({ id, userId, accountId, status, errorCode, createdAt, timelineReads }: AdminTweet): string {
  const state = errorCode === null ? status : `${status} (${errorCode})`
  return [id, `user ${userId}`, `account ${accountId}`, createdAt.toISOString(), state, `${timelineReads} reads`].join(
    '  ',
  )
}
