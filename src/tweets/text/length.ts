// The length of a post by X's rules: configuration v3 of twitter-text 3.1.0 (Copyright Twitter,
// Inc. and other contributors, Apache-2.0, https://github.com/twitter/twitter-text).
//
// This module also runs in the browser, for the console's live count: it may import only modules
// that are served there too (see src/console/assets.ts).
import { emojiPattern } from './data.ts'
import { findUrls, invalidCharacters } from './urls.ts'

/** The longest tweet of most accounts, as `weightedLength` counts. */
export const MAX_WEIGHTED_LENGTH = 280
/** The longest tweet of accounts with X Premium. */
export const MAX_PREMIUM_WEIGHTED_LENGTH = 25_000

/** The reason why a text cannot be posted. */
export type TweetTextProblem =
  | { code: 'EMPTY' }
  /**
   * `index` counts UTF-16 units; `character` has the form "U+FEFF", since most of them are
   * invisible.
   */
  | { code: 'INVALID_CHARACTERS'; index: number; character: string }
  | { code: 'TOO_LONG'; weightedLength: number; maxWeightedLength: number }

/**
 * Returns the reason why X or the database would refuse this text; null when it can be posted.
 *
 * Invalid are the characters that X refuses (U+FFFE, U+FEFF, U+FFFF), lone surrogates, which have
 * no UTF-8 form, and U+0000, which PostgreSQL cannot store.
 */
export function checkTweetText(text: string, maxWeightedLength = MAX_WEIGHTED_LENGTH): TweetTextProblem | null {
  const index = text.search(uncarriableCharacter)
  if (index >= 0) {
    const hex = text.codePointAt(index)?.toString(16).toUpperCase().padStart(4, '0')
    return { code: 'INVALID_CHARACTERS', index, character: `U+${hex}` }
  }
  if (text.trim() === '') return { code: 'EMPTY' }
  const length = weightedLength(text)
  return length > maxWeightedLength ? { code: 'TOO_LONG', weightedLength: length, maxWeightedLength } : null
}

/**
 * Returns the length of any string by X's rules, also of an invalid one. A lone surrogate counts 2.
 */
export function weightedLength(text: string): number {
  const normalized = normalize(text)
  const urls = findUrls(normalized)
  const emoji = new Map([...normalized.matchAll(emojiPattern)].map((match) => [match.index, match[0].length]))
  let length = 0
  for (let index = 0; index < normalized.length; ) {
    const urlUnits = urls.get(index)
    const emojiUnits = emoji.get(index)
    const codePoint = normalized.codePointAt(index) ?? 0
    if (urlUnits !== undefined) length += TRANSFORMED_URL_LENGTH
    else if (emojiUnits !== undefined) length += EMOJI_LENGTH
    else length += lightRanges.some(([first, last]) => codePoint >= first && codePoint <= last) ? 1 : 2
    index += urlUnits ?? emojiUnits ?? (codePoint > 0xffff ? 2 : 1)
  }
  return length
}

// Configuration v3. Its weights are hundredths (scale 100), all of them whole numbers.
const TRANSFORMED_URL_LENGTH = 23
const EMOJI_LENGTH = 2
const lightRanges = [
  [0, 4351],
  [8192, 8205],
  [8208, 8223],
  [8242, 8247],
] as const
/**
 * Unicode's limit for streams is 30 (UAX #15, section 13). This one is higher, for playful texts.
 */
const MAX_SORTED_MARKS = 128

const uncarriableCharacter = new RegExp(`[${invalidCharacters}\\u0000\\p{Surrogate}]`, 'u')
const excessiveMarks = new RegExp(`\\p{M}{${MAX_SORTED_MARKS + 1}}`, 'u')
const markedPiece = new RegExp(`\\P{M}*\\p{M}{0,${MAX_SORTED_MARKS}}`, 'gu')

/**
 * Normalizes to NFC, but longer runs of marks piece by piece: ICU sorts a run in quadratic time.
 */
function normalize(text: string): string {
  if (!excessiveMarks.test(text)) return text.normalize()
  return text.replace(markedPiece, (piece) => piece.normalize())
}
