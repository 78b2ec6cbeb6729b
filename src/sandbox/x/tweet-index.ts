import type { State, StoredTweet } from '../state.ts'
import { dropInvisible } from './tweet-text.ts'

/** The tweets by id, and the newest one of each account and text. */
export type TweetIndex = { byId: Map<string, StoredTweet>; newestByText: Map<string, StoredTweet> }

/** Creates the index of the tweets in the state. */
export function createTweetIndex(state: State): TweetIndex {
  const index: TweetIndex = { byId: new Map(), newestByText: new Map() }
  for (const tweet of state.tweets) indexTweet(index, tweet)
  return index
}

/** Adds a tweet to the index. */
export function indexTweet(index: TweetIndex, tweet: StoredTweet): void {
  index.byId.set(tweet.id, tweet)
  index.newestByText.set(textKey(tweet.accountId, tweet.repliesToNames, tweet.sentText), tweet)
}

/** The key under which two texts of one account are duplicates. */
export function textKey(accountId: string, names: readonly string[], text: string): string {
  return `${accountId} ${names.join(' ')} ${dropInvisible(text).normalize('NFC').trim()}`
}
