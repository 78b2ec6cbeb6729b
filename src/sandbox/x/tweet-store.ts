import { randomInt } from 'node:crypto'
import type { StoredTweet, XAccount } from '../state.ts'
import type { World } from '../world.ts'
import { indexTweet, textKey } from './tweet-index.ts'
import { countWeighted, dropInvisible, encodeText, mentionsIn } from './tweet-text.ts'

export type NewTweet = {
  text: string
  inReplyToTweetId: string | null
  mediaIds: string[]
  replySettings: string
  madeWithAi: boolean
  poll: StoredTweet['poll']
}

// X does not document a window for "duplicate content". 24 hours makes a repeated send after an
// outage visible and allows the same text once a day. A deleted tweet does not count.
const DUPLICATE_WINDOW_MILLISECONDS = 24 * 60 * 60 * 1000

const MAX_PLAIN_LENGTH = 280

const TWITTER_EPOCH = 1_288_834_974_657n

/** Stores a new tweet as X shows it, and returns it. */
export function storeTweet(world: World, account: XAccount, fresh: NewTweet): StoredTweet {
  const id = nextTweetId(world)
  const repliesToNames = namesInFront(world, account, fresh)
  const tweet: StoredTweet = {
    id,
    accountId: account.id,
    sentText: fresh.text,
    ...shownText(fresh.text, repliesToNames, id, mediaLink(world, account, id, fresh.mediaIds)),
    createdAt: world.clock.now(),
    mediaIds: fresh.mediaIds,
    inReplyToTweetId: fresh.inReplyToTweetId,
    repliesToNames,
    replySettings: fresh.replySettings,
    madeWithAi: fresh.madeWithAi,
    poll: fresh.poll,
    earlierIds: [],
    deleted: false,
  }
  world.state.tweets.push(tweet)
  indexTweet(world.tweets, tweet)
  return tweet
}

/**
 * Edits a tweet as its author can in X's app: the new version has its own id and time and replaces
 * the old one.
 */
export function editTweet(world: World, tweet: StoredTweet, text: string): StoredTweet {
  const id = nextTweetId(world)
  const edited: StoredTweet = {
    ...tweet,
    id,
    sentText: text,
    ...shownText(text, tweet.repliesToNames, id, mediaLink(world, authorOf(world, tweet), id, tweet.mediaIds)),
    createdAt: world.clock.now(),
    earlierIds: [...tweet.earlierIds, tweet.id],
  }
  tweet.deleted = true
  world.state.tweets.push(edited)
  indexTweet(world.tweets, edited)
  return edited
}

/**
 * Compares texts with the leading names of a reply, so that equal replies to two people are no
 * duplicates. X does not document the rule for posts with media: they never are, since each upload
 * has its own id.
 */
export function isDuplicate(
  world: World,
  account: XAccount,
  fresh: Pick<NewTweet, 'text' | 'inReplyToTweetId' | 'mediaIds'>,
): boolean {
  if (!world.switches.refusesDuplicates || fresh.mediaIds.length > 0) return false
  const names = namesInFront(world, account, fresh)
  const earlier = world.tweets.newestByText.get(textKey(account.id, names, fresh.text))
  if (earlier === undefined || earlier.deleted) return false
  return world.clock.now() < earlier.createdAt + DUPLICATE_WINDOW_MILLISECONDS
}

/**
 * Finds a tweet that the reader may see. Those of a protected account are visible only to the
 * account itself, those of a suspended one to no reader.
 */
export function findVisibleTweet(world: World, id: string, readerAccountId: string): StoredTweet | null {
  const tweet = world.tweets.byId.get(id)
  if (tweet === undefined || tweet.deleted) return null
  const author = world.state.accounts.find((account) => account.id === tweet.accountId)
  if (author === undefined || author.suspended) return null
  return author.protected && author.id !== readerAccountId ? null : tweet
}

/** Returns the tweets of an account, newest first. */
export function tweetsOf(world: World, accountId: string): StoredTweet[] {
  return world.state.tweets.filter((tweet) => tweet.accountId === accountId && !tweet.deleted).reverse()
}

/** The limit is a weighted length of 280, or 25,000 for subscribers. */
export function fitsLength(account: XAccount, text: string): boolean {
  // Every tier allows long posts, Basic included (X Help, "About X Premium").
  const long = account.subscriptionType !== 'None'
  return countWeighted(text) <= (long ? 25_000 : MAX_PLAIN_LENGTH)
}

/** True for a long post, whose `text` is cut. */
export function isLong(text: string): boolean {
  return countWeighted(text) > MAX_PLAIN_LENGTH
}

// A snowflake: milliseconds since Twitter's epoch, then 22 bits, odd here so that a client that
// parses ids as numbers visibly rounds them. Always above the previous id, also when a test sets
// the clock back.
function nextTweetId(world: World): string {
  const byTime = ((BigInt(Math.floor(world.clock.now())) - TWITTER_EPOCH) << 22n) | BigInt(randomInt(2 ** 21) * 2 + 1)
  const last = BigInt(world.state.lastTweetId)
  const id = byTime > last ? byTime : last + 1n
  world.state.lastTweetId = String(id)
  return String(id)
}

// X prepends to a reply the handles of the author and of the accounts that the tweet mentions,
// except the replying account and handles with which the text already begins.
function namesInFront(
  world: World,
  account: XAccount,
  { text, inReplyToTweetId }: Pick<NewTweet, 'text' | 'inReplyToTweetId'>,
): string[] {
  const target = inReplyToTweetId === null ? undefined : world.tweets.byId.get(inReplyToTweetId)
  if (target === undefined) return []
  const author = world.state.accounts.find(({ id }) => id === target.accountId)
  const leading = mentionsIn(/^(?:\s*@\w+)*/.exec(text)?.[0] ?? '')
  const known = new Set([account.username.toLowerCase(), ...leading])
  const names: string[] = []
  for (const name of [author?.username ?? '', ...mentionsIn(target.text)]) {
    if (name === '' || known.has(name.toLowerCase())) continue
    known.add(name.toLowerCase())
    names.push(name)
  }
  return names
}

function authorOf(world: World, tweet: StoredTweet): XAccount {
  const author = world.state.accounts.find(({ id }) => id === tweet.accountId)
  if (author === undefined) throw new Error('Bug: a tweet without an author')
  return author
}

// X ends the text of a post with media with one t.co link to them.
function mediaLink(world: World, account: XAccount, id: string, mediaIds: readonly string[]): string | null {
  const [first] = mediaIds
  if (first === undefined) return null
  const kind = world.media.byId.get(first)?.category === 'tweet_video' ? 'video' : 'photo'
  return `https://x.com/${account.username}/status/${id}/${kind}/1`
}

function shownText(
  text: string,
  names: readonly string[],
  id: string,
  link: string | null,
): Pick<StoredTweet, 'text' | 'urls'> {
  const separator = text === '' ? '' : ' '
  const encoded = encodeText(dropInvisible(link === null ? text : `${text}${separator}${link}`), id)
  const front = names.map((name) => `@${name} `).join('')
  return {
    text: front + encoded.text,
    urls: encoded.urls.map((url) => ({ ...url, start: url.start + front.length, end: url.end + front.length })),
  }
}
