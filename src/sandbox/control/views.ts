// Grants and tweets as the control returns them: plain JSON, with properties that X's API does not
// show.
import type { Grant, StoredTweet } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { liveAccessTokens } from '../x/grants.ts'

/** One authorization of the app by an X account, past or present. */
export type GrantView = {
  username: string
  accountId: string
  /** The id of the token family: all tokens that were issued for this authorization. */
  family: string
  scopes: string[]
  live: boolean
  ended: Grant['ended']
  /** The newest access token; null when it no longer works. */
  accessToken: string | null
  /** All access tokens that still work. */
  accessTokens: string[]
  refreshToken: string | null
  /** The number of refreshes. Each replaced the refresh token (RFC 9700 section 4.14.2). */
  rotations: number
  /** The number of uses of a refresh token after the first. */
  replays: number
}

/** A tweet, deleted or not. */
export type TweetView = {
  id: string
  username: string
  accountId: string
  /** The text as the client sent it. */
  sentText: string
  /** The text as X shows it. */
  text: string
  createdAt: number
  inReplyToTweetId: string | null
  /** Names that X shows in front of the text. */
  repliesToNames: string[]
  replySettings: string
  madeWithAi: boolean
  /** Ids of the media, in the order of the post. */
  mediaIds: string[]
  poll: StoredTweet['poll']
  /** Ids of the versions before an edit. */
  earlierIds: string[]
  deleted: boolean
}

/** Returns a grant as the control shows it. */
export function viewGrant(world: World, grant: Grant): GrantView {
  const accessTokens = liveAccessTokens(world, grant)
  const newest = grant.accessTokens.at(-1)?.value ?? ''
  return {
    username: usernameOf(world, grant.accountId),
    accountId: grant.accountId,
    family: grant.family,
    scopes: grant.scopes,
    live: grant.ended === null,
    ended: grant.ended,
    accessToken: accessTokens.includes(newest) ? newest : null,
    accessTokens,
    refreshToken: grant.ended === null ? (grant.refreshToken?.value ?? null) : null,
    rotations: grant.rotations,
    replays: grant.replays,
  }
}

/** Returns a tweet as the control shows it. */
export function viewTweet(world: World, { urls: _urls, ...tweet }: StoredTweet): TweetView {
  return { ...tweet, username: usernameOf(world, tweet.accountId) }
}

function usernameOf(world: World, accountId: string): string {
  return findAccountById(world, accountId)?.username ?? ''
}
