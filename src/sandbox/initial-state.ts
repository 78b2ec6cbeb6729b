import { GITHUB_PEOPLE, X_ACCOUNTS } from './people.ts'
import type { State } from './state.ts'

/** Returns the state of a new sandbox: the people and accounts, and nothing that they did. */
export function createState(): State {
  return {
    clockOffsetSeconds: 0,
    lastTweetId: '0',
    github: { people: structuredClone(GITHUB_PEOPLE), codes: [], tokens: [], organizations: [] },
    accounts: structuredClone(X_ACCOUNTS),
    codes: [],
    grants: [],
    tweets: [],
    media: [],
    subscriptions: [],
  }
}
