import type { Context, Hono } from 'hono'
import type { StoredTweet, XAccount } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { READ_SCOPES, respondWithData, WRITE_SCOPES, xEndpoint } from './endpoint.ts'
import { invalidRequest, notFound, notVisible, type Problem, problemResponse } from './problem-format.ts'
import { API_PROBLEMS } from './problems.ts'
import { readPage } from './timeline-query.ts'
import { findVisibleTweet, isLong, tweetsOf } from './tweet-store.ts'
import { cutText } from './tweet-text.ts'

// OpenAPI 2.166 TweetFieldsParameter and 2.167 PostFieldsParameter: both are in use.
const TWEET_FIELDS = new Set(
  `article article_title attachments author_id card_uri community_id context_annotations conversation_id created_at
  display_text_range edit_controls edit_history_post_ids edit_history_tweet_ids entities geo id in_reply_to_user_id lang
  matched_media_notes media_metadata non_public_metrics note_post note_request_suggestions note_tweet organic_metrics
  paid_partnership possibly_sensitive promoted_metrics public_metrics referenced_posts referenced_tweets reply_settings scopes source
  suggested_source_links suggested_source_links_with_counts text withheld`.split(/\s+/),
)

/** Reading and deleting tweets (docs.x.com, "Get Post by ID", "Get Posts", "Delete Post"). */
export function addXReading(app: Hono, world: World): void {
  const read = { limit: 'read-tweets', scopes: READ_SCOPES } as const

  app.get(
    '/2/tweets',
    xEndpoint(world, read, (c, caller) => {
      const ids = (c.req.query('ids') ?? '').split(',')
      const wrong = ids.find((id) => !isId(id))
      if (wrong !== undefined || ids.length > 100) return problemResponse(invalidId('ids', wrong ?? ids.join(',')))
      const fields = readTweetFields(c)
      if (!(fields instanceof Set)) return problemResponse(fields)
      const found = ids.flatMap((id) => findVisibleTweet(world, id, caller.id) ?? [])
      const missing = ids.filter((id) => !found.some((tweet) => tweet.id === id))
      return respondWithData({
        ...(found.length === 0 ? {} : { data: found.map((tweet) => showTweet(world, tweet, fields)) }),
        ...(missing.length === 0 ? {} : { errors: missing.map((id) => missingTweet(world, id, 'ids')) }),
      })
    }),
  )

  app.get(
    '/2/tweets/:id',
    xEndpoint(world, read, (c, caller) => {
      const id = c.req.param('id') ?? ''
      if (!isId(id)) return problemResponse(invalidId('id', id))
      const fields = readTweetFields(c)
      if (!(fields instanceof Set)) return problemResponse(fields)
      const tweet = findVisibleTweet(world, id, caller.id)
      if (tweet === null) return respondWithData({ errors: [missingTweet(world, id, 'id')] })
      return respondWithData({ data: showTweet(world, tweet, fields) })
    }),
  )

  app.delete(
    '/2/tweets/:id',
    xEndpoint(world, { limit: 'delete-tweet', scopes: WRITE_SCOPES }, (c, caller) => {
      const id = c.req.param('id') ?? ''
      if (!isId(id)) return problemResponse(invalidId('id', id))
      const tweet = findVisibleTweet(world, id, caller.id)
      if (tweet === null) return respondWithData({ errors: [missingTweet(world, id, 'id')] })
      if (tweet.accountId !== caller.id) return problemResponse(API_PROBLEMS['not-your-tweet'])
      tweet.deleted = true
      return respondWithData({ data: { deleted: true } })
    }),
  )

  app.get(
    '/2/users/:id/tweets',
    xEndpoint(world, { limit: 'user-tweets', scopes: READ_SCOPES }, (c, caller) => {
      const id = c.req.param('id') ?? ''
      if (!isId(id)) return problemResponse(invalidId('id', id))
      const fields = readTweetFields(c)
      if (!(fields instanceof Set)) return problemResponse(fields)
      const author = findAccountById(world, id)
      if (author === null) return respondWithData({ errors: [notFound('user', id, 'id')] })
      if (isHidden(author, caller)) return respondWithData({ errors: [notVisible('user', id, 'id')] })
      const page = readPage(new URL(c.req.url).searchParams, tweetsOf(world, id))
      if ('status' in page) return problemResponse(page)
      const data = page.tweets.map((tweet) => showTweet(world, tweet, fields))
      return respondWithData({ ...(data.length === 0 ? {} : { data }), meta: page.meta })
    }),
  )
}

function isHidden(author: XAccount, reader: XAccount): boolean {
  return author.suspended || (author.protected && author.id !== reader.id)
}

function missingTweet(world: World, id: string, parameter: string): Record<string, unknown> {
  const hidden = world.tweets.byId.get(id)?.deleted === false
  return hidden ? notVisible('tweet', id, parameter) : notFound('tweet', id, parameter)
}

function showTweet(world: World, tweet: StoredTweet, fields: Set<string>): Record<string, unknown> {
  const target = tweet.inReplyToTweetId === null ? null : (world.tweets.byId.get(tweet.inReplyToTweetId) ?? null)
  const isCut = isLong(tweet.sentText)
  const shown = isCut ? cutText(tweet, tweet.id) : tweet
  const note = { text: tweet.text, ...(tweet.urls.length > 0 && { entities: { urls: tweet.urls.map(showUrl) } }) }
  const optional: Record<string, unknown> = {
    created_at: new Date(tweet.createdAt).toISOString(),
    author_id: tweet.accountId,
    conversation_id: conversationOf(world, tweet),
    reply_settings: tweet.replySettings,
    lang: 'en',
    possibly_sensitive: false,
    in_reply_to_user_id: target?.accountId,
    referenced_tweets:
      target === null || !world.switches.showsReferences ? undefined : [{ type: 'replied_to', id: target.id }],
    entities: shown.urls.length === 0 ? undefined : { urls: shown.urls.map(showUrl) },
    attachments: showAttachments(world, tweet),
    media_metadata: showMediaMetadata(world, tweet),
    note_tweet: isCut && world.switches.showsNotes ? note : undefined,
  }
  const asked = Object.entries(optional).filter(([name, value]) => isAsked(fields, name) && value !== undefined)
  const history = [...tweet.earlierIds, tweet.id]
  return { id: tweet.id, text: shown.text, edit_history_tweet_ids: history, ...Object.fromEntries(asked) }
}

function showAttachments(world: World, tweet: StoredTweet): Record<string, unknown> | undefined {
  if (tweet.poll !== null) return { poll_ids: [tweet.id] }
  const keys = tweet.mediaIds.flatMap((id) => world.media.byId.get(id)?.mediaKey ?? [])
  return keys.length === 0 ? undefined : { media_keys: keys }
}

function showMediaMetadata(world: World, tweet: StoredTweet): Record<string, unknown>[] | undefined {
  const described = tweet.mediaIds.flatMap((id) => {
    const media = world.media.byId.get(id)
    return media === undefined || media.altText === null ? [] : [{ media_key: media.mediaKey, alt_text: media.altText }]
  })
  return described.length === 0 ? undefined : described
}

// Both names request the same field.
function isAsked(fields: Set<string>, name: string): boolean {
  return fields.has(name) || fields.has(name.replace('note_tweet', 'note_post').replace('_tweets', '_posts'))
}

function showUrl(link: StoredTweet['urls'][number]): Record<string, unknown> {
  const display = link.expandedUrl.replace(/^https?:\/\/(?:www\.)?/, '')
  return {
    start: link.start,
    end: link.end,
    url: link.url,
    expanded_url: link.expandedUrl,
    display_url: display.length > 27 ? `${display.slice(0, 26)}…` : display,
  }
}

function conversationOf(world: World, tweet: StoredTweet): string {
  let root = tweet
  while (root.inReplyToTweetId !== null) {
    const parent = world.tweets.byId.get(root.inReplyToTweetId)
    if (parent === undefined) return root.inReplyToTweetId
    root = parent
  }
  return root.id
}

function readTweetFields(c: Context): Set<string> | Problem {
  const asked = ['tweet.fields', 'post.fields'].flatMap((name) => c.req.query(name)?.split(',') ?? [])
  const unknown = asked.find((field) => !TWEET_FIELDS.has(field))
  if (unknown === undefined) return new Set(asked)
  const allowed = [...TWEET_FIELDS].join(',')
  return invalidRequest(`The \`tweet.fields\` query parameter value [${unknown}] is not one of [${allowed}]`, {
    'tweet.fields': [unknown],
  })
}

function isId(value: string): boolean {
  return /^[0-9]{1,19}$/.test(value)
}

function invalidId(parameter: string, value: string): Problem {
  return invalidRequest(`The \`${parameter}\` query parameter value [${value}] is not valid`, { [parameter]: [value] })
}
