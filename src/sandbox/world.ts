import { type Clock, createClock } from './clock.ts'
import type { State, XAccount } from './state.ts'
import { ACCESS_TOKEN_SECONDS, createGrantIndex, type GrantIndex } from './x/grants.ts'
import { createRateLimits, type RateLimits } from './x/rate-limits.ts'
import { createTweetIndex, type TweetIndex } from './x/tweet-store.ts'
import type { Vocabulary } from './x/vocabulary.ts'

export type ReplayMode = 'kill-family' | 'invalid-request'

/** One registered app of each provider, as its developer portal knows it. */
export type XClient = { id: string; secret: string | null; redirectUris: string[] }
export type GithubClient = { id: string; secret: string; redirectUris: string[] }

/** What GitHub holds against a person, by their id: in no state file, since it is for tests. */
export type GithubStanding = { unverifiedEmails: Set<number>; suspended: Set<number> }

/** What both providers share for as long as the sandbox lives; the first argument of everything. */
export type World = {
  url: string
  clock: Clock
  state: State
  xClient: XClient
  githubClient: GithubClient
  grants: GrantIndex
  tweets: TweetIndex
  rateLimits: RateLimits
  switches: {
    replay: ReplayMode
    /** Whether a rotation also kills the access token before it; X's documents do not say, see `grants.ts`. */
    rotationKillsAccessToken: boolean
    /** Whether an authorization leaves the account's earlier grant alive, against X's rule of one for each account and app. */
    keepsEarlierGrants: boolean
    /** Whether revoking a token of an ended grant ends the account's live one; X's documents do not say, see `grants.ts`. */
    revocationEndsAccount: boolean
    /** How long the access tokens live that are issued from now on. */
    accessTokenSeconds: number
    /** Whether the same text is refused a second time. */
    refusesDuplicates: boolean
    /** Whether X calls a tweet "Tweet" or "Post", in field names and in refusals. */
    vocabulary: Vocabulary
    /** Whether a text that is cut comes with its whole in `note_tweet`. */
    showsNotes: boolean
    /** Whether a reply names what it replies to, by `referenced_tweets`. */
    showsReferences: boolean
    /** GitHub's address where a proxy in front gives it another one than the sandbox's own. */
    githubUrl: string | null
    /** Scopes that the next consents of an account are cut down to, by account id. */
    scopeLimits: Map<string, string[]>
    /** Whether GitHub has suspended the app. */
    githubAppSuspended: boolean
    githubStanding: GithubStanding
  }
}

export function createWorld(state: State, xClient: XClient, githubClient: GithubClient, replay: ReplayMode): World {
  return {
    url: '',
    clock: createClock(state.clockOffsetSeconds),
    state,
    xClient: { ...xClient, redirectUris: [...xClient.redirectUris] },
    githubClient: { ...githubClient, redirectUris: [...githubClient.redirectUris] },
    grants: createGrantIndex(state),
    tweets: createTweetIndex(state),
    rateLimits: createRateLimits(),
    switches: {
      replay,
      rotationKillsAccessToken: false,
      keepsEarlierGrants: false,
      revocationEndsAccount: false,
      accessTokenSeconds: ACCESS_TOKEN_SECONDS,
      refusesDuplicates: true,
      vocabulary: 'tweet',
      showsNotes: true,
      showsReferences: true,
      githubUrl: null,
      scopeLimits: new Map(),
      githubAppSuspended: false,
      githubStanding: { unverifiedEmails: new Set(), suspended: new Set() },
    },
  }
}

/** Handles are unique whatever their case. */
export function findAccount(world: World, username: string): XAccount | null {
  const wanted = username.replace(/^@/, '').toLowerCase()
  return world.state.accounts.find((account) => account.username.toLowerCase() === wanted) ?? null
}

export function findAccountById(world: World, id: string): XAccount | null {
  return world.state.accounts.find((account) => account.id === id) ?? null
}
