import type { Media } from '../state.ts'
import type { MediaContent } from './media-content.ts'

const MEGABYTE = 1024 * 1024

/** The largest file of each category (docs.x.com, "Media best practices"). */
const MAX_BYTES = new Map([
  ['tweet_image', 5 * MEGABYTE],
  ['tweet_gif', 15 * MEGABYTE],
  ['tweet_video', 16 * 1024 * MEGABYTE],
  ['subtitles', MEGABYTE],
])

/** Returns the largest file of a category. */
export function maxBytesOf(category: string): number {
  return MAX_BYTES.get(category) ?? 5 * MEGABYTE
}

/** True for files that X processes after the upload. */
export function needsProcessing(category: string): boolean {
  return category.endsWith('gif') || category.endsWith('video')
}

/** Why processing refuses this file; null when it does not. */
export function findWrongContent(category: string, content: MediaContent): string | null {
  const { width, height, frames, durationSeconds } = content
  if (category === 'tweet_gif') {
    if ((width ?? 0) > 1280 || (height ?? 0) > 1080) return 'Dimensions of the GIF are above 1280x1080.'
    return frames > 350 ? 'The GIF has more than 350 frames.' : null
  }
  if (category === 'tweet_video' && durationSeconds !== null && durationSeconds < 0.5) {
    return 'Video duration is below 0.5 seconds.'
  }
  return null
}

/** True when the content is of the category. Another uploads well and is refused at the post. */
export function hasItsCategory({ category, content }: Media): boolean {
  const mediaType = content?.mediaType ?? ''
  if (category === 'tweet_image') return mediaType.startsWith('image/') && (content?.frames ?? 1) === 1
  if (category === 'tweet_gif') return mediaType === 'image/gif'
  return category === 'tweet_video' && mediaType.startsWith('video/')
}
