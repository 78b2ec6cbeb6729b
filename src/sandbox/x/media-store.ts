// Uploaded media. The files are beside the state file, since a video does not belong in JSON.
import { randomInt } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Media } from '../state.ts'
import type { World } from '../world.ts'
import { findWrongContent, needsProcessing } from './media-categories.ts'
import { inspectMedia } from './media-content.ts'

/** The lifetime of an id, which X documents. */
export const MEDIA_SECONDS = 24 * 60 * 60

/** Starts an upload of this account. */
export function startUpload(world: World, accountId: string, category: string, totalBytes: number): Media {
  dropExpired(world)
  const now = world.clock.now()
  const id = String((BigInt(Math.floor(now)) << 20n) + BigInt(randomInt(2 ** 20)))
  const media: Media = {
    id,
    accountId,
    mediaKey: `${keyPrefix(category)}_${id}`,
    category,
    totalBytes,
    expiresAt: now + MEDIA_SECONDS * 1000,
    segments: {},
    finalizedAt: null,
    processing: null,
    content: null,
    altText: null,
  }
  world.state.media.push(media)
  world.media.byId.set(id, media)
  return media
}

/** Finds an upload of this account that has not expired. */
export function findUpload(world: World, accountId: string, id: string): Media | null {
  const media = world.media.byId.get(id)
  if (media === undefined || media.accountId !== accountId) return null
  return world.clock.now() < media.expiresAt ? media : null
}

/** Stores a segment. A segment that is sent again replaces the earlier one. */
export function storeSegment(world: World, media: Media, index: number, bytes: Buffer): void {
  writeFileSync(world.media.path(media.id, index), bytes)
  media.segments[String(index)] = bytes.length
}

/** True when the segments 0 to n are there without a gap and have the announced size. */
export function isComplete(media: Media): boolean {
  const indexes = Object.keys(media.segments)
    .map(Number)
    .sort((left, right) => left - right)
  const bytes = Object.values(media.segments).reduce((sum, size) => sum + size, 0)
  return indexes.every((index, position) => index === position) && bytes === media.totalBytes && bytes > 0
}

/** Joins the segments, and starts what X does with the file. */
export function finishUpload(world: World, media: Media): void {
  const path = world.media.path(media.id)
  const joined = `${path}.joined`
  rmSync(joined, { force: true })
  for (let index = 0; index < Object.keys(media.segments).length; index += 1) {
    appendFileSync(joined, readFileSync(world.media.path(media.id, index)))
  }
  renameSync(joined, path)
  for (const index of Object.keys(media.segments)) rmSync(world.media.path(media.id, Number(index)), { force: true })
  const content = inspectMedia(path)
  const { seconds, failure } = world.switches.mediaProcessing
  media.content = content
  media.finalizedAt = world.clock.now()
  media.processing = needsProcessing(media.category)
    ? { seconds, failure: failure ?? findWrongContent(media.category, content) }
    : null
}

export type ProcessingState = 'pending' | 'in_progress' | 'succeeded' | 'failed'

/** The state of X's processing, by the sandbox's clock; null for a file that needs none. */
export function processingState(world: World, media: Media): { state: ProcessingState; percent: number } | null {
  if (media.processing === null || media.finalizedAt === null) return null
  const { seconds, failure } = media.processing
  const part = seconds === 0 ? 1 : (world.clock.now() - media.finalizedAt) / (seconds * 1000)
  if (part >= 1) return { state: failure === null ? 'succeeded' : 'failed', percent: 100 }
  return { state: part < 0.2 ? 'pending' : 'in_progress', percent: Math.floor(part * 100) }
}

/** True when a post may use it. */
export function isReady(world: World, media: Media): boolean {
  const processing = processingState(world, media)
  return media.finalizedAt !== null && (processing === null || processing.state === 'succeeded')
}

// What a post has stays; other files go with their ids.
function dropExpired(world: World): void {
  const now = world.clock.now()
  const expired = world.state.media.filter((media) => media.expiresAt <= now)
  if (expired.length === 0) return
  const used = new Set(world.state.tweets.flatMap((tweet) => tweet.mediaIds))
  for (const media of expired) {
    if (used.has(media.id)) continue
    world.media.byId.delete(media.id)
    world.state.media.splice(world.state.media.indexOf(media), 1)
    const files = [undefined, ...Object.keys(media.segments).map(Number)].map((index) =>
      world.media.path(media.id, index),
    )
    for (const file of files) if (existsSync(file)) rmSync(file)
  }
}

// The first part of a media key tells the kind: 3 for images, 7 for videos, 16 for GIFs.
function keyPrefix(category: string): string {
  if (category.endsWith('video')) return '7'
  return category.endsWith('gif') ? '16' : '3'
}
