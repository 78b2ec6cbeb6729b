import DataLoader from 'dataloader'
import { type ConnectedAccount, listAccountsByIds } from '../accounts/accounts.ts'
import { requireRecentSignIn } from '../auth/session.ts'
import { type SessionViewer, sessionOf, type User, type Viewer } from '../auth/viewer.ts'
import type { Deps } from '../deps.ts'
import { consumeRateLimit, type RateLimiter } from '../rate-limit/limiter.ts'
import type { OperationLogFields } from '../telemetry/log.ts'
import type { Tweet } from '../tweets/outcome.ts'
import { listTweetsByIds } from '../tweets/tweets.ts'
import { type LinkedAccount, listLinkedAccountsByIds } from '../users/link-visibility.ts'

/** The context that resolvers share during one request. */
export type GraphqlContext = {
  deps: Deps
  /** Null for an unauthenticated request. */
  viewer: Viewer | null
  requestId: string
  /** Limits the cost of the document. */
  rateLimiter: RateLimiter
  /** The fields of the document's log line. */
  operationLog: OperationLogFields
  /** True for an operation that was found to be within the limits of complexity. */
  isWithinLimits: boolean
  /** Adds a Set-Cookie header to the response. */
  setCookie(header: string): void
  /** Loads the viewer's accounts by id, in one query for all rows of a response. */
  accounts: Loader<ConnectedAccount>
  /** Loads the viewer's tweets with the ids of a response in one query; null for any other id. */
  tweets: Loader<Tweet | null>
  /** Loads accounts as integrators see them; null for one that is not connected or not shown. */
  linkedAccounts: Loader<LinkedAccount | null>
}

/** Loads rows by their ids. */
type Loader<Row> = Pick<DataLoader<string, Row>, 'load' | 'clearAll'>

/** Creates the context of one request. */
export function createContext(
  deps: Deps,
  request: Pick<GraphqlContext, 'viewer' | 'requestId' | 'rateLimiter' | 'operationLog' | 'setCookie'>,
): GraphqlContext {
  const { viewer, requestId, rateLimiter, operationLog, setCookie } = request
  const user = viewer === null || viewer.kind === 'OPERATOR_TOKEN' ? null : viewer.user
  const accounts = createLoader<ConnectedAccount>(async (ids) => {
    const own = user === null ? [] : await listAccountsByIds(deps, user.id, ids)
    const found = new Map(own.map((account) => [account.id, account]))
    return ids.map((id) => found.get(id) ?? new Error('Bug: a row points to an account that is not there'))
  })
  const tweets = createLoader<Tweet | null>(async (ids) => {
    const own = user === null ? [] : await listTweetsByIds(deps, user.id, ids)
    const found = new Map(own.map((tweet) => [tweet.id, tweet]))
    return ids.map((id) => found.get(id) ?? null)
  })
  const linkedAccounts = createLoader<LinkedAccount | null>(async (ids) => {
    const found = new Map((await listLinkedAccountsByIds(deps, ids)).map((account) => [account.id, account]))
    return ids.map((id) => found.get(id) ?? null)
  })
  return {
    deps: withRequestLog(deps, requestId),
    viewer,
    requestId,
    rateLimiter,
    operationLog,
    isWithinLimits: false,
    setCookie,
    accounts,
    tweets,
    linkedAccounts,
  }
}

/**
 * Returns the user that the viewer is or acts for. Throws when there is none: the access rule of
 * the field is then wrong.
 */
export function getUser({ viewer }: GraphqlContext): User {
  if (viewer === null || viewer.kind === 'OPERATOR_TOKEN')
    throw new Error('Bug: a field that needs a user admitted a caller without one')
  return viewer.user
}

/** Consumes from the user's limit of changes. @throws AppError RATE_LIMITED */
export function consumeChange({ deps, viewer }: GraphqlContext): Promise<void> {
  const session = sessionOf(viewer)
  if (session === null) throw new Error('Bug: a change without a session')
  return consumeRateLimit(deps, 'change', session.user.id, 1)
}

/**
 * Returns the signed-in browser. Throws when the viewer is not one: the access rule of the field is
 * then wrong.
 */
export function getSession({ viewer }: GraphqlContext): SessionViewer {
  const session = sessionOf(viewer)
  if (session === null) throw new Error('Bug: a field that needs a session admitted a caller without one')
  return session
}

/**
 * As `getSession`, for operations for which a stolen cookie must not be enough.
 * @throws AppError RECENT_SIGN_IN_REQUIRED
 */
export function getRecentSession(context: GraphqlContext): SessionViewer {
  const viewer = getSession(context)
  requireRecentSignIn(context.deps, viewer.session)
  return viewer
}

// Most requests load nothing by id, so that the loader is created when it is first used.
function createLoader<Row>(loadAll: (ids: readonly string[]) => Promise<(Row | Error)[]>): Loader<Row> {
  let loader: DataLoader<string, Row> | null = null
  const open = () => {
    loader ??= new DataLoader(loadAll)
    return loader
  }
  return {
    load: (id) => open().load(id),
    clearAll() {
      loader?.clearAll()
      return open()
    },
  }
}

// The features' log lines carry the request's id. Most requests log nothing of their own, so that
// the logger is created when it is first used.
function withRequestLog(deps: Deps, requestId: string): Deps {
  let log: Deps['log'] | null = null
  return {
    ...deps,
    get log() {
      log ??= deps.log.child({ requestId })
      return log
    },
  }
}
