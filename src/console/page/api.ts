// The public API, by the operations published in schema/operations. What is declared here is what
// they select.
import type { ErrorCode } from '../../error-codes.ts'
import { operations } from '../operations.ts'

export type UserError = {
  code: ErrorCode
  message: string
  field: string[] | null
  retryable: boolean
  retryAt: string | null
}

export type LinkVisibility = 'NOBODY' | 'INTEGRATORS'

export type Viewer = {
  id: string
  login: string
  name: string | null
  avatarUrl: string | null
  linkVisibility: LinkVisibility
}

export type ApiToken = {
  id: string
  name: string
  prefix: string
  lastFour: string
  scopes: string[]
  status: 'ACTIVE' | 'EXPIRED' | 'REVOKED'
  createdAt: string
  expiresAt: string
  lastUsedAt: string | null
}

export type Session = {
  id: string
  device: string | null
  createdAt: string
  lastUsedAt: string
  current: boolean
}

export type Account = {
  id: string
  username: string
  displayName: string | null
  avatarUrl: string | null
  missingScopes: string[]
  status: 'ACTIVE' | 'LIMITED' | 'NEEDS_REAUTH' | 'DISCONNECTED'
  statusReason: string | null
  nextAction: 'RECONNECT' | 'GRANT_SCOPES' | null
  maxTweetLength: number
  connectedAt: string
  lastUsedAt: string | null
}

export type TweetStatus = 'PENDING' | 'POSTED' | 'FAILED' | 'UNKNOWN' | 'DELETED'

export type Tweet = {
  id: string
  url: string | null
  text: string
  status: TweetStatus
  error: Pick<UserError, 'code' | 'message' | 'retryAt'> | null
  account: Pick<Account, 'id' | 'username' | 'status'>
  createdAt: string
  postedAt: string | null
}

export type PageOfTweets = {
  edges: { node: Tweet }[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

/** Variables and answer of each operation that the page sends. */
type Operations = {
  Viewer: [Record<string, never>, { viewer: Viewer | null }]
  ConnectedAccounts: [Record<string, never>, { connectedAccounts: Account[] }]
  ConnectAttempt: [
    { connectAttemptId: string },
    {
      connectAttempt: {
        error: Pick<UserError, 'code' | 'message' | 'retryAt'> | null
        account: { username: string } | null
      } | null
    },
  ]
  StartXConnect: [
    { input?: { reconnectAccountId: string } },
    { startXConnect: { authorizationUrl: string | null; userErrors: UserError[] } },
  ]
  DisconnectAccount: [{ input: { accountId: string } }, { disconnectAccount: { userErrors: UserError[] } }]
  ApiTokens: [Record<string, never>, { apiTokens: ApiToken[] }]
  CreateApiToken: [
    { input: { name: string; scopes: string[]; expiresInDays: number } },
    { createApiToken: { secret: string | null; userErrors: UserError[] } },
  ]
  RevokeApiToken: [{ input: { apiTokenId: string } }, { revokeApiToken: { userErrors: UserError[] } }]
  Sessions: [Record<string, never>, { sessions: Session[] }]
  RevokeSession: [{ input: { sessionId: string } }, { revokeSession: { userErrors: UserError[] } }]
  RevokeOtherSessions: [Record<string, never>, { revokeOtherSessions: { revokedCount: number } }]
  DeleteViewer: [
    { input: { login: string } },
    { deleteViewer: { deletedUserId: string | null; userErrors: UserError[] } },
  ]
  SetLinkVisibility: [{ input: { visibility: LinkVisibility } }, { setLinkVisibility: { userErrors: UserError[] } }]
  Tweets: [{ first: number; after?: string | null }, { tweets: PageOfTweets }]
  PostTweet: [
    { input: { text: string; accountId: string; idempotencyKey: string } },
    { postTweet: { tweet: { id: string; status: TweetStatus; url: string | null } | null; userErrors: UserError[] } },
  ]
  DeleteTweet: [{ input: { tweetId: string } }, { deleteTweet: { userErrors: UserError[] } }]
}

/** There was no valid response. The request may have been carried out. */
export class UnreachableError extends Error {}

/** The session has ended. */
export class SignedOutError extends Error {}

/** The gateway refused the whole request. The message has the reason. */
export class RefusedError extends Error {}

// Longer than the gateway's deadlines for a post.
const PATIENCE_MILLISECONDS = 60_000

export async function request<Name extends keyof Operations>(
  name: Name,
  variables: Operations[Name][0],
): Promise<Operations[Name][1]> {
  const query = operations[name]
  if (query === undefined) throw new Error(`Bug: there is no published operation ${name}`)
  const answer = await send<Operations[Name][1]>(JSON.stringify({ query, variables }))
  const error = answer.errors?.[0]
  if (error?.extensions?.code === 'UNAUTHENTICATED') throw new SignedOutError(error.message)
  // The operation may have been carried out.
  if (error?.extensions?.code === 'DATABASE_UNAVAILABLE') throw new UnreachableError(error.message)
  if (error !== undefined) throw new RefusedError(error.message)
  if (!answer.data) throw new UnreachableError('The response is not one of the API.')
  return answer.data
}

type Answer<Data> = { data?: Data | null; errors?: { message: string; extensions?: { code?: string } }[] }

async function send<Data>(body: string): Promise<Answer<Data>> {
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body,
      signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
    })
    return await response.json()
  } catch (cause) {
    throw new UnreachableError(
      navigator.onLine ? 'It may be restarting, or the connection was closed.' : 'This device seems to be offline.',
      { cause },
    )
  }
}
