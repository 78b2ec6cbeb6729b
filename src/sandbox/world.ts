import { type Clock, createClock } from './clock.ts'
import type { State, XAccount } from './state.ts'
import { createSwitches, type ReplayMode, type Switches } from './switches.ts'
import { createGrantIndex, type GrantIndex } from './x/grant-index.ts'
import { createRateLimits, type RateLimits } from './x/rate-limits.ts'
import { createTweetIndex, type TweetIndex } from './x/tweet-index.ts'

/** One registered app of each provider, as its developer portal knows it. */
export type XClient = { id: string; secret: string | null; redirectUris: string[] }
export type GithubClient = { id: string; secret: string; redirectUris: string[] }

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
  switches: Switches
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
    switches: createSwitches(replay),
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
