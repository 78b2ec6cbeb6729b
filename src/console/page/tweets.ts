import { type PageOfTweets, request, type Tweet } from './api.ts'
import { confirm } from './confirmation.ts'
import { copyTemplate, find, onClick, setText } from './elements.ts'
import { explainError, sayMoment, sayWhen, tweetBadges } from './wording.ts'

const PAGE_SIZE = 10
const ASK_AGAIN_MILLISECONDS = 3_000
// Eight lines in the list. X Premium allows 25,000 characters.
const LONG_TEXT_LENGTH = 600
const LONG_TEXT_LINES = 8

/** Shows the first page again. */
export type TweetList = { refresh(): Promise<void> }

/** Makes the list of tweets work. */
export function createTweetList(on: { error(error: unknown): void }): TweetList {
  const list = find(document, '#tweets', HTMLElement)
  const more = find(document, '#more', HTMLButtonElement)
  const problem = find(document, '#tweets-problem', HTMLElement)
  let cursor: string | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  async function refresh(): Promise<void> {
    clearTimeout(timer)
    const { tweets } = await request('Tweets', { first: PAGE_SIZE })
    list.replaceChildren()
    append(tweets)
    find(document, '#no-tweets', HTMLElement).hidden = tweets.edges.length > 0
    // What is still on its way will be settled soon.
    if (tweets.edges.some(({ node }) => node.status === 'PENDING'))
      timer = setTimeout(() => refresh().catch(on.error), ASK_AGAIN_MILLISECONDS)
  }

  function append({ edges, pageInfo }: PageOfTweets): void {
    list.append(...edges.map(({ node }) => createItem(node)))
    cursor = pageInfo.endCursor
    more.hidden = !pageInfo.hasNextPage
  }

  async function loadMore(): Promise<void> {
    const position = list.children.length
    const { tweets } = await request('Tweets', { first: PAGE_SIZE, after: cursor })
    append(tweets)
    const first = list.children[position]
    // Reading goes on at the first new tweet, also when the button has gone.
    if (first instanceof HTMLElement) first.focus()
  }

  async function remove({ id, text }: Tweet): Promise<void> {
    const isSure = await confirm({
      title: 'Delete this tweet?',
      text: `“${text.length > 100 ? `${text.slice(0, 100)}…` : text}” will be deleted at X. That cannot be undone.`,
      action: 'Delete',
    })
    if (!isSure) return
    const { deleteTweet } = await request('DeleteTweet', { input: { tweetId: id } })
    await refresh()
    const [error] = deleteTweet.userErrors
    setText(problem, error ? explainError(error) : null)
    find(document, '#tweets-title', HTMLElement).focus()
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
    // The list is ordered by it; one that was in doubt, or refused at first, was posted later.
    time.dateTime = createdAt
    time.textContent = sayWhen(createdAt)
    time.title = postedAt === null ? sayMoment(createdAt) : `Posted ${sayMoment(postedAt)}`
    const badge = find(item, '.badge', HTMLElement)
    badge.textContent = tweetBadges[tweet.status].word
    badge.dataset.tone = tweetBadges[tweet.status].tone
    showText(item, tweet.text)
    setText(find(item, '.reason', HTMLElement), tweet.error && explainError(tweet.error))
    find(item, '.actions', HTMLElement).hidden = tweet.status !== 'POSTED'
    if (tweet.url !== null) find(item, '.link', HTMLAnchorElement).href = tweet.url
    const deletion = find(item, '.delete', HTMLButtonElement)
    // With its tokens gone there is nobody to delete it.
    deletion.hidden = tweet.account.status === 'DISCONNECTED'
    onClick(deletion, () => guarded(() => remove(tweet)))
    return item
  }

  onClick(more, () => guarded(loadMore))
  onClick(find(document, '#refresh', HTMLButtonElement), () => guarded(refresh))
  return { refresh }
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
