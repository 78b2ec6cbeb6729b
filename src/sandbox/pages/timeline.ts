import type { Context } from 'hono'
import { html } from 'hono/html'
import type { StoredTweet, XAccount } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { tweetsOf } from '../x/tweet-store.ts'
import { type PageContent, respondWithPage, showTime } from './layout.ts'

/**
 * The profile of an account with its tweets. Unlike at X, it shows those of protected accounts, so
 * that one can see them.
 */
export function respondWithTimelinePage(c: Context, world: World, author: XAccount) {
  const tweets = tweetsOf(world, author.id)
  const count = tweets.length === 1 ? '1 post' : `${tweets.length} posts`
  return respondWithPage(c, {
    title: `${author.name} (@${author.username}) · X sandbox`,
    provider: 'x',
    body: html`${crumbs()}
<section class="card profile" aria-label="Profile">
<img class="banner" src="/assets/banners/${author.id}.svg" alt="">
<div class="body">
<img class="avatar" src="/assets/avatars/x/${author.id}.svg" alt="" width="88" height="88">
<div><h1>${author.name}${accountBadges(author)}</h1><p class="soft">@${author.username}</p></div>
${author.description === '' ? '' : html`<p>${author.description}</p>`}
<p class="soft small">${count}</p>
</div>
</section>
<section aria-label="Posts">
${tweets.length === 0 ? emptyFeed(author) : html`<ol class="card feed">${tweets.map((tweet) => html`<li>${showTweet(world, tweet)}</li>`)}</ol>`}
</section>`,
  })
}

/** Responds with the page of one tweet. */
export function respondWithTweetPage(c: Context, world: World, author: XAccount, tweet: StoredTweet) {
  const target = tweet.inReplyToTweetId === null ? null : (world.tweets.byId.get(tweet.inReplyToTweetId) ?? null)
  return respondWithPage(c, {
    title: `${author.name} on X: “${tweet.sentText.slice(0, 60)}” · X sandbox`,
    provider: 'x',
    body: html`${crumbs()}
<h1 class="small soft">Post</h1>
${target === null || target.deleted ? '' : html`<div class="card feed">${showTweet(world, target)}</div>`}
<div class="card feed">
<article class="tweet large">
<img class="avatar" src="/assets/avatars/x/${author.id}.svg" alt="" width="40" height="40">
<div class="who"><a class="name" href="/${author.username}"><b>${author.name}</b></a><span class="soft">@${author.username}</span></div>
<p class="text" dir="auto">${showText(tweet)}</p>
${showMedia(world, tweet)}
${showPoll(tweet)}
<p class="soft small foot">${showTime(tweet.createdAt)}${tweet.madeWithAi ? html` · Made with AI` : ''} · id ${tweet.id}</p>
</article>
</div>`,
  })
}

/** Responds with the page for a missing account or tweet. */
export function respondWithMissingPage(c: Context) {
  return respondWithPage(c, {
    title: 'Page not found · X sandbox',
    provider: 'x',
    status: 404,
    body: html`${crumbs()}
<div class="card empty"><h1>Hmm… this page doesn’t exist.</h1><p class="soft">The post may be deleted, or the account renamed.</p></div>`,
  })
}

/** A tweet in a list, with a link to its page. */
export function showTweet(world: World, tweet: StoredTweet): PageContent {
  const author = findAccountById(world, tweet.accountId)
  if (author === null) throw new Error('Bug: a tweet without an author')
  const replied = tweet.inReplyToTweetId === null ? undefined : world.tweets.byId.get(tweet.inReplyToTweetId)
  const repliedTo = replied === undefined ? null : findAccountById(world, replied.accountId)
  return html`<article class="tweet">
<img class="avatar" src="/assets/avatars/x/${author.id}.svg" alt="" width="40" height="40">
<div>
<p class="line"><a href="/${author.username}"><b>${author.name}</b></a> <span class="soft">@${author.username}</span> <span class="soft" aria-hidden="true">·</span> <a class="soft small" href="/${author.username}/status/${tweet.id}">${showTime(tweet.createdAt)}</a></p>
${repliedTo === null ? '' : html`<p class="soft small">Replying to @${repliedTo.username}</p>`}
<p class="text" dir="auto">${showText(tweet)}</p>
${showMedia(world, tweet)}
${showPoll(tweet)}
${tweet.madeWithAi ? html`<p class="soft small">Made with AI</p>` : ''}
</div>
</article>`
}

/** Returns the badges of an account: protected, suspended and others. */
export function accountBadges(author: XAccount): PageContent {
  const paid = author.subscriptionType === 'None' ? [] : [author.subscriptionType.replace('PremiumPlus', 'Premium+')]
  const plain = author.protected ? [...paid, 'Protected'] : paid
  const bad = [...(author.suspended ? ['Suspended'] : []), ...(author.locked ? ['Locked'] : [])]
  return html`${plain.map((badge) => html` <span class="badge">${badge}</span>`)}${bad.map((badge) => html` <span class="badge bad">${badge}</span>`)}`
}

// The stored text has t.co links and HTML entities; the page shows the URL and plain characters.
function showText(tweet: StoredTweet): PageContent {
  const characters = [...tweet.text]
  const parts: PageContent[] = []
  // The page does not show the leading names of a reply.
  let position = tweet.repliesToNames.map((name) => `@${name} `).join('').length
  // The link to the media, which ends the text, is shown as the media themselves.
  const mediaLink = tweet.mediaIds.length === 0 ? undefined : tweet.urls.at(-1)
  for (const link of tweet.urls) {
    if (link === mediaLink) continue
    parts.push(html`${decodeEntities(characters.slice(position, link.start).join(''))}`)
    parts.push(
      html`<a href="${link.expandedUrl}" rel="nofollow noreferrer">${link.expandedUrl.replace(/^https?:\/\//, '')}</a>`,
    )
    position = link.end
  }
  parts.push(html`${decodeEntities(characters.slice(position, mediaLink?.start).join('').trimEnd())}`)
  return html`${parts}`
}

function decodeEntities(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

function showMedia(world: World, tweet: StoredTweet): PageContent {
  const media = tweet.mediaIds.flatMap((id) => world.media.byId.get(id) ?? [])
  if (media.length === 0) return html``
  return html`<div class="media count-${media.length}">${media.map(({ id, category, altText }) =>
    category === 'tweet_video'
      ? html`<video controls preload="metadata" src="/assets/media/${id}" aria-label="${altText ?? 'Video'}"></video>`
      : html`<img src="/assets/media/${id}" alt="${altText ?? ''}">`,
  )}</div>`
}

function showPoll(tweet: StoredTweet): PageContent {
  if (tweet.poll === null) return html``
  return html`<ul class="poll" aria-label="Poll">${tweet.poll.options.map((option) => html`<li>${option}</li>`)}</ul>`
}

function emptyFeed(author: XAccount): PageContent {
  return html`<div class="card empty"><h2>Nothing posted yet</h2><p class="soft">What the gateway posts for @${author.username} appears here.</p></div>`
}

function crumbs(): PageContent {
  return html`<nav class="crumbs" aria-label="Sandbox"><a href="/">Everybody</a><a href="/settings/connected_apps">Connected apps</a></nav>`
}
