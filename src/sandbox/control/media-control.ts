import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Media } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { isReady } from '../x/media-store.ts'

/** An upload, as the control returns it. */
export type MediaView = {
  id: string
  mediaKey: string
  username: string
  category: string
  totalBytes: number
  /** Bytes of each received segment, by its index. */
  segments: Record<string, number>
  /** Whether a post may use it. */
  ready: boolean
  /** Of the joined segments; null before they are. */
  sha256: string | null
  altText: string | null
}

/** The part of the control that is about uploads. */
export function createMediaControl(world: World) {
  return {
    /** All uploads, oldest first. */
    media: (): MediaView[] => world.state.media.map((media) => viewMedia(world, media)),
    /**
     * Sets how long X processes videos and GIFs that are uploaded from now on, and a reason for
     * which it refuses them then.
     */
    setMediaProcessing(processing: { seconds?: number; failure?: string | null }): void {
      Object.assign(world.switches.mediaProcessing, processing)
    },
    /** Sets the largest segment; X responds to larger ones with an empty 413. */
    setMaxSegmentBytes(bytes: number): void {
      world.switches.maxSegmentBytes = bytes
    },
    /** Sets whether a second finalize of an upload gets the response of the first. Off by default. */
    setFinalizesAgain(on: boolean): void {
      world.switches.finalizesAgain = on
    },
  }
}

function viewMedia(world: World, media: Media): MediaView {
  const file = media.finalizedAt === null ? null : readFileSync(world.media.path(media.id))
  return {
    id: media.id,
    mediaKey: media.mediaKey,
    username: findAccountById(world, media.accountId)?.username ?? '',
    category: media.category,
    totalBytes: media.totalBytes,
    segments: { ...media.segments },
    ready: isReady(world, media),
    sha256: file === null ? null : createHash('sha256').update(file).digest('hex'),
    altText: media.altText,
  }
}
