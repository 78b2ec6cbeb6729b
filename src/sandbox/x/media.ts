import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { mediaType, parseJson } from '../parameters.ts'
import type { Media } from '../state.ts'
import type { World } from '../world.ts'
import { respondWithData, xEndpoint } from './endpoint.ts'
import { maxBytesOf } from './media-categories.ts'
import { findUpload, finishUpload, isComplete, processingState, startUpload, storeSegment } from './media-store.ts'
import { invalidRequest, problemResponse, refuseBody } from './problem-format.ts'
import { API_PROBLEMS } from './problems.ts'

const SCOPES = ['media.write']

// OpenAPI 2.167, InitializeMediaUploadRequest.
const initializeSchema = z.strictObject({
  media_type: z
    .enum([
      'video/mp4',
      'video/webm',
      'video/mp2t',
      'video/quicktime',
      'text/srt',
      'text/vtt',
      'image/jpeg',
      'image/gif',
      'image/bmp',
      'image/png',
      'image/webp',
      'image/pjpeg',
      'image/tiff',
      'model/gltf-binary',
      'model/vnd.usdz+zip',
    ])
    .optional(),
  media_category: z
    .enum(['amplify_video', 'tweet_gif', 'tweet_image', 'tweet_video', 'dm_gif', 'dm_image', 'dm_video', 'subtitles'])
    .optional(),
  total_bytes: z.number().int().min(0).max(17_179_869_184).optional(),
  additional_owners: z.array(z.string().regex(/^[0-9]{1,19}$/)).optional(),
  shared: z.boolean().optional(),
})

// OpenAPI 2.167, CreateMediaMetadataRequest. Without the wrapper `metadata` X fails with a 500.
const metadataSchema = z.object({
  id: z.string().regex(/^[0-9]{1,19}$/),
  metadata: z.object({ alt_text: z.strictObject({ text: z.string().max(1000) }).optional() }).optional(),
})

// Images and subtitles only: videos and GIFs are uploaded in segments.
const ONE_SHOT_CATEGORIES = ['tweet_image', 'dm_image', 'subtitles']

/** Uploading media (docs.x.com, "Media upload", version 2). */
export function addXMedia(app: Hono, world: World): void {
  app.post(
    '/2/media/upload/initialize',
    xEndpoint(world, { limit: 'media-initialize', scopes: SCOPES }, async (c, caller) => {
      const body = initializeSchema.safeParse(await readJson(c))
      if (!body.success) return problemResponse(refuseBody(body.error))
      const { media_category: category = 'tweet_image', total_bytes: totalBytes = 0 } = body.data
      const limit = maxBytesOf(category)
      if (totalBytes > limit) return problemResponse(invalidRequest(`File size exceeds ${limit} bytes.`, {}))
      const media = startUpload(world, caller.id, category, totalBytes)
      const seconds = Math.floor((media.expiresAt - world.clock.now()) / 1000)
      return respondWithData({ data: { id: media.id, media_key: media.mediaKey, expires_after_secs: seconds } })
    }),
  )

  app.post(
    '/2/media/upload/:id/append',
    xEndpoint(world, { limit: 'media-append', scopes: SCOPES }, async (c, caller) => {
      const media = findUpload(world, caller.id, c.req.param('id') ?? '')
      if (media === null || media.finalizedAt !== null) return problemResponse(API_PROBLEMS['invalid-media'])
      const fields = await readMediaFields(c)
      const index = Number(fields?.segment_index ?? Number.NaN)
      if (fields === null || fields.media === null)
        return problemResponse(invalidRequest('$.media: is missing but it is required', {}))
      if (!Number.isInteger(index) || index < 0 || index > 999) {
        return problemResponse(invalidRequest('$.segment_index: must be between 0 and 999', {}))
      }
      if (fields.media.length > world.switches.maxSegmentBytes) return new Response(null, { status: 413 })
      storeSegment(world, media, index, fields.media)
      return respondWithData({ data: { expires_at: Math.floor(media.expiresAt / 1000) } })
    }),
  )

  app.post(
    '/2/media/upload/:id/finalize',
    xEndpoint(world, { limit: 'media-finalize', scopes: SCOPES }, (c, caller) => {
      const media = findUpload(world, caller.id, c.req.param('id') ?? '')
      if (media === null || (media.finalizedAt !== null && !world.switches.finalizesAgain)) {
        return problemResponse(API_PROBLEMS['invalid-media'])
      }
      return media.finalizedAt === null ? finalize(world, media) : respondWithData({ data: showMedia(world, media) })
    }),
  )

  app.get(
    '/2/media/upload',
    xEndpoint(world, { limit: 'media-status', scopes: SCOPES }, (c, caller) => {
      if ((c.req.query('command') ?? 'STATUS') !== 'STATUS') {
        return problemResponse(invalidRequest('The `command` query parameter value is not one of [STATUS]', {}))
      }
      const media = findUpload(world, caller.id, c.req.query('media_id') ?? '')
      // The same for an image, which is never processed.
      if (media === null || processingState(world, media) === null)
        return problemResponse(API_PROBLEMS['invalid-media'])
      return respondWithData({ data: showMedia(world, media) })
    }),
  )

  app.post(
    '/2/media/upload',
    xEndpoint(world, { limit: 'media-upload', scopes: SCOPES }, async (c, caller) => {
      const fields = await readMediaFields(c)
      const category = fields?.media_category ?? ''
      if (fields === null || fields.media === null || fields.media.length === 0 || 'command' in fields) {
        return problemResponse(invalidRequest('$.media: is missing but it is required', {}))
      }
      if (!ONE_SHOT_CATEGORIES.includes(category) || fields.media.length > maxBytesOf(category)) {
        return problemResponse(invalidRequest(`$.media_category: [${category}] does not allow this file`, {}))
      }
      const media = startUpload(world, caller.id, category, fields.media.length)
      storeSegment(world, media, 0, fields.media)
      return finalize(world, media)
    }),
  )

  app.post(
    '/2/media/metadata',
    xEndpoint(world, { limit: 'media-metadata', scopes: SCOPES }, async (c, caller) => {
      const body = metadataSchema.safeParse(await readJson(c))
      if (!body.success) return problemResponse(refuseBody(body.error))
      if (body.data.metadata === undefined) return problemResponse(API_PROBLEMS['internal-server-error'])
      const media = findUpload(world, caller.id, body.data.id)
      if (media === null) return problemResponse(API_PROBLEMS['invalid-media'])
      const text = body.data.metadata.alt_text?.text ?? null
      media.altText = text
      const metadata = text === null ? {} : { alt_text: { text } }
      return respondWithData({ data: { id: media.id, associated_metadata: metadata } })
    }),
  )
}

function finalize(world: World, media: Media): Response {
  if (!isComplete(media)) return problemResponse(API_PROBLEMS['segments-do-not-add-up'])
  finishUpload(world, media)
  if (media.content?.mediaType === null) {
    return new Response('media type unrecognized', { status: 400, headers: { 'content-type': 'text/plain' } })
  }
  return respondWithData({ data: showMedia(world, media) })
}

// OpenAPI 2.167, FinalizeMediaUploadResponseData and GetMediaUploadStatusResponseData.
function showMedia(world: World, media: Media): Record<string, unknown> {
  const { content } = media
  const processing = processingState(world, media)
  const ready = processing === null || processing.state === 'succeeded'
  const isVideo = media.category.endsWith('video')
  return {
    id: media.id,
    media_key: media.mediaKey,
    size: media.totalBytes,
    expires_after_secs: Math.floor((media.expiresAt - world.clock.now()) / 1000),
    ...(ready && !isVideo && content !== null
      ? { image: { image_type: content.mediaType, w: content.width, h: content.height } }
      : {}),
    ...(ready && isVideo && content !== null ? { video: { video_type: content.mediaType } } : {}),
    ...(processing === null ? {} : { processing_info: showProcessing(media, processing) }),
  }
}

function showProcessing(media: Media, { state, percent }: { state: string; percent: number }): Record<string, unknown> {
  if (state === 'succeeded') return { state, progress_percent: percent }
  if (state === 'pending') return { state, check_after_secs: 1 }
  if (state === 'in_progress') return { state, check_after_secs: 1, progress_percent: percent }
  return { state, error: { code: 1, name: 'InvalidMedia', message: media.processing?.failure ?? '' } }
}

type MediaFields = { media: Buffer | null; media_category?: string; segment_index?: string; command?: string }

// Raw bytes in a form, base64 in JSON; null for another body.
async function readMediaFields(c: Context): Promise<MediaFields | null> {
  const type = mediaType(c.req.header('content-type') ?? null)
  if (type === 'multipart/form-data') {
    const form = await c.req.raw.formData().catch(() => null)
    const file = form?.get('media') ?? null
    if (form === null) return null
    const fields = Object.fromEntries(
      [...form].filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    )
    return {
      ...fields,
      media: file === null || typeof file === 'string' ? null : Buffer.from(await file.arrayBuffer()),
    }
  }
  const json = z
    .object({
      media: z.base64().optional(),
      media_category: z.string().optional(),
      segment_index: z.number().optional(),
    })
    .safeParse(type === 'application/json' ? await readJson(c) : null)
  if (!json.success) return null
  const { media, media_category, segment_index } = json.data
  return {
    media: media === undefined ? null : Buffer.from(media, 'base64'),
    ...(media_category === undefined ? {} : { media_category }),
    ...(segment_index === undefined ? {} : { segment_index: String(segment_index) }),
  }
}

async function readJson(c: Context): Promise<unknown> {
  return mediaType(c.req.header('content-type') ?? null) === 'application/json' ? parseJson(await c.req.text()) : null
}
