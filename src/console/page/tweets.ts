import { type PageOfTweets, request, type Tweet } from './api.ts'
import { confirm } from './confirmation.ts'
import { copyTemplate, find, onClick, setText } from './elements.ts'
import { explainError, formatAge, formatMoment, tweetBadges } from './wording.ts'

/** The number of tweets that the list shows at first. */
export const FIRST_TWEETS = 10
const MAX_PAGE_SIZE = 100
const POLL_MILLISECONDS = 3_000
// Eight lines in the list. X Premium allows 25,000 characters.
const LONG_TEXT_LENGTH = 600
const LONG_TEXT_LINES = 8

/** The list of tweets. `refresh` loads as many of the newest tweets as are shown. */
export type TweetList = {
  /** Shows the first page, of at most `FIRST_TWEETS`. */
  setTweets(page: PageOfTweets): void
  refresh(): Promise<void>
}

/** Sets up the list of tweets. */
export function createTweetList(on: { error(error: unknown): void }): TweetList {
  const list = find(document, '#tweets', HTMLElement)
  const more = find(document, '#more', HTMLButtonElement)
  const problem = find(document, '#tweets-problem', HTMLElement)
  const items = new Map<string, ShownTweet>()
  let cursor: string | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  let work = Promise.resolve()

  // One request at a time: an earlier response must not replace a later one.
  function inTurn(task: () => Promise<void>): Promise<void> {
    const done = work.then(task)
    work = done.catch(() => {})
    return done
  }

  const refresh = () => inTurn(showNewest)

  async function showNewest(): Promise<void> {
    clearTimeout(timer)
    setTweets(await loadNewest(Math.max(FIRST_TWEETS, list.children.length)))
  }

  function setTweets({ edges, pageInfo }: PageOfTweets): void {
    clearTimeout(timer)
    showPage(pageInfo)
    replaceItems(edges.map(({ node }) => showTweet(node)))
    for (const id of items.keys()) if (!edges.some(({ node }) => node.id === id)) items.delete(id)
    find(document, '#no-tweets', HTMLElement).hidden = edges.length > 0
    // A pending tweet will soon have an outcome.
    if (edges.some(({ node }) => node.status === 'PENDING'))
      timer = setTimeout(() => refresh().catch(on.error), POLL_MILLISECONDS)
  }

  function showPage({ endCursor, hasNextPage }: PageOfTweets['pageInfo']): void {
    cursor = endCursor
    more.hidden = !hasNextPage
  }

  // An unchanged item stays, with its focus and its expanded text.
  function showTweet(tweet: Tweet): HTMLElement {
    const content = JSON.stringify(tweet)
    const shown = items.get(tweet.id)
    const item = shown?.content === content ? shown.item : createItem(tweet)
    find(item, 'time', HTMLTimeElement).textContent = formatAge(tweet.createdAt)
    items.set(tweet.id, { content, item })
    return item
  }

  // An element that is moved loses its focus, so only the others are moved.
  function replaceItems(wanted: readonly HTMLElement[]): void {
    for (const item of [...list.children]) if (!wanted.includes(item as HTMLElement)) item.remove()
    wanted.forEach((item, index) => {
      if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null)
    })
  }

  async function loadMore(): Promise<void> {
    const position = list.children.length
    const { tweets } = await request('Tweets', { first: FIRST_TWEETS, after: cursor })
    showPage(tweets.pageInfo)
    list.append(...tweets.edges.map(({ node }) => showTweet(node)))
    const first = list.children[position]
    // Keyboard and screen reader users continue at the first new tweet.
    if (first instanceof HTMLElement) first.focus()
  }

  async function remove({ id, text }: Tweet): Promise<void> {
    const isSure = await confirm({
      title: 'Delete this tweet?',
      text: `“${text.length > 100 ? `${text.slice(0, 100)}…` : text}” will be deleted on X. This cannot be undone.`,
      action: 'Delete',
    })
    if (!isSure) return
    const { deleteTweet } = await request('DeleteTweet', { input: { tweetId: id } })
    await refresh()
    const [error] = deleteTweet.userErrors
    const item = items.get(id)?.item
    if (error) showProblem(item, explainError(error))
    // The focused button has been removed, the tweet has not.
    item?.focus({ preventScroll: true })
  }

  // At the tweet, because the list can be long.
  function showProblem(item: HTMLElement | undefined, sentence: string): void {
    const place = item === undefined ? problem : find(item, '.reason', HTMLElement)
    place.classList.add('problem')
    place.role = 'alert'
    setText(place, sentence)
  }

  async function guarded(work: () => Promise<void>): Promise<void> {
    setText(problem, null)
    await work().catch(on.error)
  }

  function createItem(tweet: Tweet): HTMLElement {
    const item = copyTemplate('#tweet-template')
    item.tabIndex = -1
    find(item, '.username', HTMLElement).textContent = `@${tweet.account.username}`
    const { createdAt, postedAt } = tweet
    const time = find(item, 'time', HTMLTimeElement)
    // The list is ordered by the creation; a tweet that was in doubt or failed first was posted
    // later.
    time.dateTime = createdAt
    time.title = postedAt === null ? formatMoment(createdAt) : `Posted ${formatMoment(postedAt)}`
    const badge = find(item, '.badge', HTMLElement)
    badge.textContent = tweetBadges[tweet.status].word
    badge.dataset.tone = tweetBadges[tweet.status].tone
    showText(item, tweet.text)
    setText(find(item, '.reason', HTMLElement), tweet.error && explainError(tweet.error))
    find(item, '.actions', HTMLElement).hidden = tweet.status !== 'POSTED'
    if (tweet.url !== null) find(item, '.link', HTMLAnchorElement).href = tweet.url
    const deletion = find(item, '.delete', HTMLButtonElement)
    // A disconnected account has no tokens to delete it with.
    deletion.hidden = tweet.account.status === 'DISCONNECTED'
    onClick(deletion, () => guarded(() => remove(tweet)))
    return item
  }

  onClick(more, () => guarded(() => inTurn(loadMore)))
  onClick(find(document, '#refresh', HTMLButtonElement), () => guarded(refresh))
  return { setTweets, refresh }
}

type ShownTweet = { content: string; item: HTMLElement }

async function loadNewest(count: number): Promise<PageOfTweets> {
  let { tweets } = await request('Tweets', { first: Math.min(count, MAX_PAGE_SIZE) })
  while (tweets.edges.length < count && tweets.pageInfo.hasNextPage) {
    const first = Math.min(count - tweets.edges.length, MAX_PAGE_SIZE)
    const next = await request('Tweets', { first, after: tweets.pageInfo.endCursor })
    tweets = { edges: [...tweets.edges, ...next.tweets.edges], pageInfo: next.tweets.pageInfo }
  }
  return tweets
}

function showText(item: HTMLElement, text: string): void {
  const paragraph = find(item, '.text', HTMLElement)
  const all = find(item, '.all', HTMLElement)
  const isLong = text.length > LONG_TEXT_LENGTH || text.split('\n').length > LONG_TEXT_LINES
  paragraph.textContent = text
  paragraph.classList.toggle('long', isLong)
  all.hidden = !isLong
  find(all, 'button', HTMLElement).addEventListener('click', () => {
    paragraph.classList.remove('long')
    all.hidden = true
    item.focus()
  })
}
