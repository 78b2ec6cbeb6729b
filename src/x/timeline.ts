// Reads an account's timeline to find a tweet whose outcome is unknown. Both vocabularies of X are
// parsed: OpenAPI 2.166 says "Tweet" where 2.167 says "Post".
import { z } from 'zod'
import type { Deps } from '../deps.ts'
import { callX, parseResult, type XResult, xId } from './api.ts'

/** The text of a post as X shows it. */
export type ShownText = {
  /** URLs are t.co links; & < > are HTML entities. */
  text: string
  /** The targets of the links; empty when X does not list them. */
  expandedUrls: readonly string[]
}

/** A post of an account's timeline. */
export type TimelinePost = ShownText & {
  xTweetId: string
  createdAt: Date
  /** The post that it replies to; null when it is not a reply, or X does not say. */
  repliesToXTweetId: string | null
  /** The user whom it replies to; null when it is not a reply, or X does not say. */
  repliesToUserId: string | null
  /** The ids of its versions before an edit. Their texts are not known. */
  earlierXTweetIds: readonly string[]
  /** False when X has truncated the text. */
  isWholeText: boolean
}

/** The posts of a period. */
export type TimelinePage = {
  /** Newest first. */
  posts: TimelinePost[]
  /**
   * False when the period has more posts than a page, or X withholds some. A post that is missing
   * here may then exist.
   */
  isWhole: boolean
  /** True when X withholds some posts of this page. */
  hasWithheld: boolean
  /** For the next page; null on the last one. */
  nextToken: string | null
  /** The Date header of the response, by X's clock; null when there is none. */
  respondedAt: Date | null
}

// Stays within the size limit of a response even if every character is escaped.
const TIMELINE_PAGE = 25

const entitiesShape = z.object({
  urls: z
    .array(z.object({ expanded_url: z.string().nullish() }))
    .nullish()
    .transform((urls) => urls ?? []),
})
const noteShape = z.object({ text: z.string(), entities: entitiesShape.nullish() })
const referencesShape = z.array(z.object({ type: z.string(), id: xId }))
const postShape = z.object({
  id: xId,
  text: z.string(),
  created_at: z
    .string()
    .transform((text) => new Date(text))
    .refine((moment) => !Number.isNaN(moment.getTime())),
  entities: entitiesShape.nullish(),
  note_tweet: noteShape.nullish(),
  note_post: noteShape.nullish(),
  referenced_tweets: referencesShape.nullish(),
  referenced_posts: referencesShape.nullish(),
  in_reply_to_user_id: xId.nullish(),
  edit_history_tweet_ids: z.array(xId).nullish(),
  edit_history_post_ids: z.array(xId).nullish(),
})
const timelineShape = z.object({
  // X omits `data` when there are no posts.
  data: z.array(postShape).default([]),
  // One error for each post that X has and does not show.
  errors: z.array(z.unknown()).default([]),
  meta: z.object({ next_token: z.string().optional(), result_count: z.number().optional() }),
})

/**
 * Reads the account's posts between two moments of X's clock. X bills each post.
 * @param until null for all posts until now.
 * @param pageToken the `nextToken` of the page before; null for the newest page.
 */
export async function fetchTimeline(
  deps: Deps,
  accessToken: string,
  providerAccountId: string,
  since: Date,
  until: Date | null,
  pageToken: string | null = null,
): Promise<XResult<TimelinePage>> {
  const query = new URLSearchParams({
    max_results: String(TIMELINE_PAGE),
    start_time: inWholeSeconds(since),
    ...(until && { end_time: inWholeSeconds(until) }),
    ...(pageToken && { pagination_token: pageToken }),
    // The names of OpenAPI 2.166 only: X accepts them, and refuses a parameter that it does not
    // know.
    'tweet.fields': 'created_at,entities,note_tweet,referenced_tweets,in_reply_to_user_id',
  })
  const response = await callX(deps, 'GET', `/2/users/${providerAccountId}/tweets?${query}`, accessToken)
  return parseResult(deps, response, timelineShape, ({ data, errors, meta }) => {
    const hasWithheld = errors.length > 0 || (meta.result_count ?? data.length) !== data.length
    return {
      posts: data.map(toTimelinePost),
      isWhole: meta.next_token === undefined && !hasWithheld,
      hasWithheld,
      nextToken: meta.next_token ?? null,
      respondedAt: parseDate(response.report.headers.date),
    }
  })
}

function toTimelinePost(post: z.infer<typeof postShape>): TimelinePost {
  const note = post.note_tweet ?? post.note_post ?? null
  const references = [...(post.referenced_tweets ?? []), ...(post.referenced_posts ?? [])]
  const history = [...(post.edit_history_tweet_ids ?? []), ...(post.edit_history_post_ids ?? [])]
  return {
    xTweetId: post.id,
    text: note?.text ?? post.text,
    expandedUrls: ((note ?? post).entities?.urls ?? []).map((url) => url.expanded_url ?? ''),
    createdAt: post.created_at,
    repliesToXTweetId: references.find(({ type }) => type === 'replied_to')?.id ?? null,
    repliesToUserId: post.in_reply_to_user_id ?? null,
    earlierXTweetIds: history.filter((id) => id !== post.id),
    isWholeText: note !== null || !CUT_TEXT.test(post.text),
  }
}

// X's documents show a truncated post with an ellipsis and a link to the whole post at its end. An
// author's own text may end the same way.
const CUT_TEXT = /…(?:\s*https?:\/\/t\.co\/\w+)?\s*$/

// X accepts no fractions of a second.
function inWholeSeconds(moment: Date): string {
  return new Date(Math.floor(moment.getTime() / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}

function parseDate(header: string | string[] | undefined): Date | null {
  const moment = typeof header === 'string' ? Date.parse(header) : Number.NaN
  return Number.isNaN(moment) ? null : new Date(moment)
}
