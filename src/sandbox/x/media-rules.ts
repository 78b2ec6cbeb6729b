import type { XAccount } from '../state.ts'
import type { World } from '../world.ts'
import { hasItsCategory } from './media-categories.ts'
import { findUpload, isReady } from './media-store.ts'
import type { Problem } from './problem-format.ts'
import { API_PROBLEMS } from './problems.ts'

const PLAIN_VIDEO_SECONDS = 20 * 60
const PREMIUM_VIDEO_SECONDS = 125 * 60

/**
 * Returns the refusal of a post with these media: 1 to 4 images, one GIF or one video, all of them
 * the account's own, ready, unexpired, and of the category that their content has.
 */
export function judgeMedia(world: World, caller: XAccount, ids: readonly string[]): Problem | null {
  const found = ids.flatMap((id) => findUpload(world, caller.id, id) ?? [])
  const [first] = found
  const isWrong =
    first === undefined ||
    found.length < ids.length ||
    new Set(ids).size < ids.length ||
    found.some((media) => !isReady(world, media) || !hasItsCategory(media)) ||
    (found.length > 1 && found.some((media) => media.category !== 'tweet_image'))
  if (isWrong) return API_PROBLEMS['invalid-media']
  const longest = caller.subscriptionType.startsWith('Premium') ? PREMIUM_VIDEO_SECONDS : PLAIN_VIDEO_SECONDS
  return (first.content?.durationSeconds ?? 0) > longest ? API_PROBLEMS['video-too-long'] : null
}
