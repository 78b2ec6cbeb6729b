import type { Hono } from 'hono'
import { z } from 'zod'
import { mediaType, parseJson } from '../parameters.ts'
import type { XAccount } from '../state.ts'
import type { World } from '../world.ts'
import { respondWithData, WRITE_SCOPES, xEndpoint } from './endpoint.ts'
import { judgeMedia } from './media-rules.ts'
import { invalidRequest, type Problem, problemResponse, refuseBody } from './problem-format.ts'
import { API_PROBLEMS } from './problems.ts'
import { findVisibleTweet, fitsLength, isDuplicate, storeTweet } from './tweet-store.ts'
import { countCashtags, dropInvisible, hasForbiddenCharacters, mentionsIn } from './tweet-text.ts'

const id = z.string().regex(/^[0-9]{1,19}$/)
const replySettings = z.enum(['following', 'mentionedUsers', 'subscribers', 'verified'])

// OpenAPI 2.167, CreatePostsRequest: additionalProperties false at every level.
const bodySchema = z.strictObject({
  text: z.string().optional(),
  card_uri: z.string().optional(),
  community_id: id.optional(),
  direct_message_deep_link: z.string().optional(),
  edit_options: z.strictObject({ previous_post_id: id }).optional(),
  for_super_followers_only: z.boolean().optional(),
  geo: z.strictObject({ place_id: z.string() }).optional(),
  made_with_ai: z.boolean().optional(),
  media: z
    .strictObject({
      media_ids: z.array(id).min(1).max(4),
      tagged_user_ids: z.array(id).max(10).optional(),
      call_to_actions: z.looseObject({}).optional(),
      description: z.string().optional(),
      embeddable: z.boolean().optional(),
      preview_media_id: id.optional(),
      title: z.string().optional(),
    })
    .optional(),
  nullcast: z.boolean().optional(),
  paid_partnership: z.boolean().optional(),
  poll: z
    .strictObject({
      options: z.array(z.string().min(1).max(25)).min(2).max(4),
      duration_minutes: z.number().int().min(5).max(10_080),
      reply_settings: replySettings.optional(),
    })
    .optional(),
  quote_tweet_id: id.optional(),
  reply: z
    .strictObject({
      in_reply_to_tweet_id: id,
      exclude_reply_user_ids: z.array(id).optional(),
      auto_populate_reply_metadata: z.boolean().optional(),
    })
    .optional(),
  reply_settings: replySettings.optional(),
  share_with_followers: z.boolean().optional(),
})

type PostBody = z.infer<typeof bodySchema>

/** `POST /2/tweets` (docs.x.com, "Create Post"). */
export function addXPosting(app: Hono, world: World): void {
  app.post(
    '/2/tweets',
    xEndpoint(world, { limit: 'post-tweet', scopes: WRITE_SCOPES }, async (c, caller) => {
      const body = readBody(c.req.header('content-type') ?? null, await c.req.text())
      if ('status' in body) return problemResponse(body)
      const text = body.text ?? ''
      const mediaIds = body.media?.media_ids ?? []
      const inReplyToTweetId = body.reply?.in_reply_to_tweet_id ?? null
      const refusal =
        judgeReply(world, caller, body) ??
        judgeText(caller, text) ??
        (mediaIds.length === 0 ? null : judgeMedia(world, caller, mediaIds)) ??
        (isDuplicate(world, caller, { text, inReplyToTweetId, mediaIds }) ? API_PROBLEMS['duplicate-content'] : null)
      if (refusal !== null) return problemResponse(refusal)
      const tweet = storeTweet(world, caller, {
        text,
        inReplyToTweetId,
        mediaIds,
        replySettings: body.reply_settings ?? 'everyone',
        madeWithAi: body.made_with_ai ?? false,
        poll: body.poll ? { options: body.poll.options, durationMinutes: body.poll.duration_minutes } : null,
      })
      return respondWithData({ data: { text: tweet.text, id: tweet.id, edit_history_tweet_ids: [tweet.id] } }, 201)
    }),
  )
}

function readBody(contentType: string | null, text: string): PostBody | Problem {
  if (mediaType(contentType) !== 'application/json') {
    return invalidRequest('Requests with bodies must have content-type of application/json.', {})
  }
  const json = parseJson(text)
  if (json === undefined) return invalidRequest('The body of this request is not valid JSON.', {})
  const parsed = bodySchema.safeParse(json)
  if (!parsed.success) return refuseBody(parsed.error)
  return judgeShape(parsed.data) ?? parsed.data
}

function judgeShape(body: PostBody): Problem | null {
  const exclusive = ['poll', 'quote_tweet_id', 'direct_message_deep_link', 'media', 'card_uri'] as const
  const used = exclusive.filter((field) => body[field] !== undefined)
  if (used.length > 1) return invalidRequest(`Only one of [${used.join(', ')}] can be given.`, {})
  if (body.media === undefined && dropInvisible(body.text ?? '').trim() === '') return API_PROBLEMS['invalid-request']
  if (hasForbiddenCharacters(body.text ?? '')) return invalidRequest('$.text: contains invalid characters', {})
  // The sandbox's accounts can use no editing, communities or super follows.
  const unavailable = body.edit_options ?? body.community_id ?? body.for_super_followers_only
  return unavailable === undefined || unavailable === false ? null : API_PROBLEMS['not-permitted']
}

/**
 * The rules for self-serve apps: no quotes, and replies only to own posts or to posts that mention
 * the account. The text of the error implies that own threads are allowed.
 */
function judgeReply(world: World, caller: XAccount, body: PostBody): Problem | null {
  if (body.quote_tweet_id !== undefined) return API_PROBLEMS['reply-not-allowed']
  if (body.reply === undefined) return null
  const target = findVisibleTweet(world, body.reply.in_reply_to_tweet_id, caller.id)
  if (target === null) return API_PROBLEMS['reply-target-gone']
  const isOwn = target.accountId === caller.id
  const mentioned = mentionsIn(target.sentText).includes(caller.username.toLowerCase())
  return isOwn || mentioned ? null : API_PROBLEMS['reply-not-allowed']
}

function judgeText(caller: XAccount, text: string): Problem | null {
  return !fitsLength(caller, text) || countCashtags(text) > 1 ? API_PROBLEMS['not-permitted'] : null
}
