// Sends the operations published in schema/operations. The types here follow from their selections.
import type { Operations, OverviewQuery, PostTweetMutation } from '../operation-types.ts'
import { operations } from '../operations.ts'

type Me = NonNullable<OverviewQuery['viewer']>

export type Viewer = Pick<Me, 'id' | 'login' | 'avatarUrl' | 'linkVisibility'>
export type LinkVisibility = Me['linkVisibility']
export type Account = Me['connectedAccounts'][number]
export type ApiToken = Me['apiTokens'][number]
export type Session = Me['sessions'][number]
export type PageOfTweets = Me['tweets']
export type Tweet = PageOfTweets['edges'][number]['node']
export type TweetStatus = Tweet['status']
export type UserError = NonNullable<PostTweetMutation['postTweet']>['userErrors'][number]

// The API returns null for a mutation only beside a top-level error, which `request` throws.
type Response<Name extends keyof Operations> = Operations[Name][2] extends 'mutation'
  ? { [Field in keyof Operations[Name][1]]: NonNullable<Operations[Name][1][Field]> }
  : Operations[Name][1]

/** There was no valid response. The request may have been carried out. */
export class UnreachableError extends Error {}

/** The session has ended. */
export class SignedOutError extends Error {}

/** The gateway refused the whole request. The message has the reason. */
export class RefusedError extends Error {}

// Longer than the gateway's deadlines for a post.
const DEADLINE_MILLISECONDS = 60_000

/**
 * Sends a published operation, and returns its data.
 * @throws UnreachableError, SignedOutError, RefusedError
 */
export async function request<Name extends keyof Operations>(
  name: Name,
  variables: Operations[Name][0],
): Promise<Response<Name>> {
  const query = operations[name]
  if (query === undefined) throw new Error(`Bug: there is no published operation ${name}`)
  const response = await send<Response<Name>>(JSON.stringify({ query, variables }))
  const error = response.errors?.[0]
  if (error?.extensions?.code === 'UNAUTHENTICATED') throw new SignedOutError(error.message)
  // The operation may have been carried out.
  if (error?.extensions?.code === 'DATABASE_UNAVAILABLE') throw new UnreachableError(error.message)
  if (error !== undefined) throw new RefusedError(error.message)
  if (!response.data) throw new UnreachableError('The response is not one of the API.')
  return response.data
}

type GraphqlResult<Data> = { data?: Data | null; errors?: { message: string; extensions?: { code?: string } }[] }

async function send<Data>(body: string): Promise<GraphqlResult<Data>> {
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body,
      signal: AbortSignal.timeout(DEADLINE_MILLISECONDS),
    })
    return await response.json()
  } catch (cause) {
    throw new UnreachableError(
      navigator.onLine ? 'It may be restarting, or the connection was closed.' : 'This device seems to be offline.',
      { cause },
    )
  }
}
