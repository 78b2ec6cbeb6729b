import { type Clock, createClock } from './clock.ts'
import type { State, XAccount } from './state.ts'
import { createSwitches, type ReplayMode, type Switches } from './switches.ts'
import { createGrantIndex, type GrantIndex } from './x/grant-index.ts'
import { createMediaIndex, type MediaIndex } from './x/media-index.ts'
import { createRateLimits, type RateLimits } from './x/rate-limits.ts'
import { createTweetIndex, type TweetIndex } from './x/tweet-index.ts'

/** The registered app at X. A null secret makes it a public client. */
export type XClient = { id: string; secret: string | null; redirectUris: string[] }

/** The same app at X, in the calls that it makes for itself. */
export type XApp = { id: string; apiKey: string; apiSecret: string; bearerToken: string }

/** The registered app at GitHub. */
export type GithubClient = { id: string; secret: string; redirectUris: string[] }

/** The state and switches of both providers, the first argument of their functions. */
export type World = {
  url: string
  clock: Clock
  state: State
  xClient: XClient
  xApp: XApp
  githubClient: GithubClient
  grants: GrantIndex
  tweets: TweetIndex
  media: MediaIndex
  /** The open streams of X's Activity API. */
  activityStreams: Set<ReadableStreamDefaultController<Uint8Array>>
  rateLimits: RateLimits
  switches: Switches
}

/** What the developer portal shows of the app, in every sandbox. */
export const X_APP: XApp = {
  id: '29000000',
  apiKey: 'sandbox-api-key',
  apiSecret: 'sandbox-api-secret',
  bearerToken: 'AAAAAAAAAAAAAAAAAAAAAsandbox%2Fbearer%3Dtoken',
}

/**
 * Creates the providers from their state and clients.
 * @param mediaDirectory the directory of uploaded files; null for a temporary one.
 */
export function createWorld(
  state: State,
  {
    xClient,
    githubClient,
    replay,
    mediaDirectory,
  }: {
    xClient: XClient
    githubClient: GithubClient
    replay: ReplayMode
    mediaDirectory: string | null
  },
): World {
  return {
    url: '',
    clock: createClock(state.clockOffsetSeconds),
    state,
    xApp: { ...X_APP },
    xClient: { ...xClient, redirectUris: [...xClient.redirectUris] },
    githubClient: { ...githubClient, redirectUris: [...githubClient.redirectUris] },
    grants: createGrantIndex(state),
    tweets: createTweetIndex(state),
    activityStreams: new Set(),
    media: createMediaIndex(state, mediaDirectory),
    rateLimits: createRateLimits(),
    switches: createSwitches(replay),
  }
}

/** Finds an account by its handle, without regard to case. */
export function findAccount(world: World, username: string): XAccount | null {
  const wanted = username.replace(/^@/, '').toLowerCase()
  return world.state.accounts.find((account) => account.username.toLowerCase() === wanted) ?? null
}

/** Finds an account by its id. */
export function findAccountById(world: World, id: string): XAccount | null {
  return world.state.accounts.find((account) => account.id === id) ?? null
}
