import { createHash } from 'node:crypto'
import tlds from 'tlds' with { type: 'json' }

/**
 * How X counts and rewrites text (docs.x.com, "Counting characters", configuration v3). Written
 * independently of the gateway's code, so that a test finds a mistake of either.
 */
const URL_WEIGHT = 23
const EMOJI_WEIGHT = 2
// About 280 with the ellipsis and the link.
const CUT_AFTER = 254

const TOP_LEVEL_DOMAINS = new Set<string>(tlds)
const URL_CANDIDATE =
  /(?<![\p{L}\p{N}@.$#_/-])(https?:\/\/)?((?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]*[\p{L}\p{N}])?\.)+(?:xn--[a-z0-9-]+|[\p{L}]{2,}))(?![\p{L}\p{N}@-])(:\d{1,5})?((?:[/?#][^\s<>"]*)?)/giu

type FoundUrl = { start: number; end: number; written: string; expanded: string }

/** Returns the weighted length; the limit of an ordinary account is 280. */
export function countWeighted(written: string): number {
  const text = written.normalize('NFC')
  let weight = 0
  let position = 0
  for (const url of findUrls(text)) {
    weight += countPlain(text.slice(position, url.start)) + URL_WEIGHT
    position = url.end
  }
  return weight + countPlain(text.slice(position))
}

/** X rejects U+FFFE, U+FEFF, U+FFFF and lone surrogates. */
export function hasForbiddenCharacters(text: string): boolean {
  return /[\uFFFE\uFEFF\uFFFF]/.test(text) || !text.isWellFormed()
}

/**
 * Removes the invisible characters that X drops: control characters except tab and line ends, soft
 * hyphens, zero-width spaces and word joiners. Joiners within emoji and direction marks stay.
 */
export function dropInvisible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are meant.
  return text.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u00AD\u200B\u2060-\u2064]/g, '')
}

/** Returns the `$ABC` symbols; a self-serve app may post one. */
export function countCashtags(text: string): number {
  return [...text.matchAll(/(?<![\p{L}\p{N}_$])\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?![\p{L}\p{N}_$])/gu)].length
}

/** Returns the mentioned handles in lower case. */
export function mentionsIn(text: string): string[] {
  const found = text.matchAll(/(?<![\p{L}\p{N}_@/])@([A-Za-z0-9_]{1,15})(?![A-Za-z0-9_@])/gu)
  return [...found].flatMap((match) => (match[1] === undefined ? [] : [match[1].toLowerCase()]))
}

/** Returns the text that X stores: each URL as a t.co link, and & < > as HTML entities. */
export function encodeText(
  text: string,
  tweetId: string,
): { text: string; urls: { start: number; end: number; url: string; expandedUrl: string }[] } {
  let encoded = ''
  let position = 0
  const urls = []
  for (const found of findUrls(text)) {
    encoded += encodeEntities(text.slice(position, found.start))
    const url = shortLink(found.expanded, tweetId, urls.length)
    const start = [...encoded].length
    urls.push({ start, end: start + url.length, url, expandedUrl: found.expanded })
    encoded += url
    position = found.end
  }
  return { text: encoded + encodeEntities(text.slice(position)), urls }
}

/**
 * Returns the `text` of a long post: cut, with an ellipsis and a link to the post.
 * @param shown the whole text with its t.co links.
 */
export function cutText(
  shown: { text: string; urls: { start: number; end: number; url: string; expandedUrl: string }[] },
  tweetId: string,
): typeof shown {
  const characters = [...shown.text]
  const straddling = shown.urls.find(({ start, end }) => start < CUT_AFTER && end > CUT_AFTER)
  // Nor within an HTML entity.
  const kept = characters
    .slice(0, straddling?.start ?? CUT_AFTER)
    .join('')
    .replace(/&[a-z]{0,3}$/, '')
  const urls = shown.urls.filter(({ end }) => end <= [...kept].length)
  const expandedUrl = `https://x.com/i/web/status/${tweetId}`
  const url = shortLink(expandedUrl, tweetId, shown.urls.length)
  const start = [...kept].length + 2
  return { text: `${kept}… ${url}`, urls: [...urls, { start, end: start + url.length, url, expandedUrl }] }
}

function findUrls(text: string): FoundUrl[] {
  const found: FoundUrl[] = []
  for (const match of text.matchAll(URL_CANDIDATE)) {
    const [, scheme = '', host = '', port = '', rest = ''] = match
    const top = host.slice(host.lastIndexOf('.') + 1).toLowerCase()
    if (!TOP_LEVEL_DOMAINS.has(top) && !top.startsWith('xn--')) continue
    const written = `${scheme}${host}${port}${trimPunctuation(rest)}`
    const expanded = scheme === '' ? `http://${written}` : written
    found.push({ start: match.index, end: match.index + written.length, written, expanded })
  }
  return found
}

// A full stop or closing bracket after a URL is not part of it; a balanced bracket is.
function trimPunctuation(path: string): string {
  let kept = path
  while (/[.,:;!?'"’”»)\]}*_~]$/u.test(kept)) {
    if (kept.endsWith(')') && kept.split('(').length === kept.split(')').length) break
    if (/^[/?#]_*$/.test(kept)) break
    kept = kept.slice(0, -1)
  }
  return kept
}

function countPlain(text: string): number {
  let weight = 0
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)) {
    weight += isEmoji(segment) ? EMOJI_WEIGHT : [...segment].reduce((sum, character) => sum + weigh(character), 0)
  }
  return weight
}

// ©, ™ and digits are emoji only with a variation selector.
function isEmoji(segment: string): boolean {
  return /^\p{RGI_Emoji}$/v.test(segment) || /^\p{Emoji_Presentation}\uFE0F?$/u.test(segment)
}

function weigh(character: string): number {
  const point = character.codePointAt(0) ?? 0
  const light =
    point <= 4351 ||
    (point >= 8192 && point <= 8205) ||
    (point >= 8208 && point <= 8223) ||
    (point >= 8242 && point <= 8247)
  return light ? 1 : 2
}

function shortLink(target: string, tweetId: string, index: number): string {
  const digest = createHash('sha256').update(`${tweetId} ${index} ${target}`).digest('base64')
  return `https://t.co/${digest.replace(/[^A-Za-z0-9]/g, '').slice(0, 10)}`
}

function encodeEntities(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
