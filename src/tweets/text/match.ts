// Whether a post of a timeline is a tweet of ours. Which parts of a text X makes links of is not guessed here, but read from what
// it shows: our rules and its own may differ by a top-level domain of this year, and a tweet that is not recognised is sent again.

import type { ShownText } from '../../x/timeline.ts'

type Link = { shown: string; expanded: string | null }

// The cut may go through an entity, or through a character that is made of several.
const CUT_MARGIN = 8
const SHORT_LINK = /https?:\/\/t\.co\/[A-Za-z0-9]+/g

/** True when X shows `sent` as `shown`: after t.co rewriting, entities, Unicode normalisation and white space. */
export function isSameText(sent: string, { text, expandedUrls }: ShownText): boolean {
  const shortLinks = text.match(SHORT_LINK) ?? []
  if (expandedUrls.length > 0 && expandedUrls.length !== shortLinks.length) return false
  return matches(sent, text, expandedUrls, true)
}

/** True when `sent` may be what X shows cut short: it begins like it, up to the ellipsis. */
export function beginsLikeText(sent: string, { text, expandedUrls }: ShownText): boolean {
  const kept = text.slice(0, text.lastIndexOf('…'))
  const shortLinks = kept.match(SHORT_LINK) ?? []
  // X may list the links of the whole text, or its own to the whole.
  return matches(sent, kept, expandedUrls.length < shortLinks.length ? [] : expandedUrls, false)
}

function matches(sent: string, text: string, expandedUrls: readonly string[], isWhole: boolean): boolean {
  const shortLinks = text.match(SHORT_LINK) ?? []
  const [start = '', ...pieces] = squeeze(text)
    .split(SHORT_LINK)
    .map((piece, i) => (isWhole || i < shortLinks.length ? piece : piece.slice(0, -CUT_MARGIN)))
    .map(decodeEntities)
    .map(decompose)
  let rest = decompose(squeeze(sent))
  if (!rest.startsWith(start)) return false
  rest = rest.slice(start.length)
  for (const [i, piece] of pieces.entries()) {
    const link = { shown: shortLinks[i] ?? '', expanded: decompose(expandedUrls[i] ?? '') || null }
    const length = linkLength(rest, link, piece, isWhole && i === pieces.length - 1)
    if (length === null) return false
    rest = rest.slice(length + piece.length)
  }
  return !isWhole || rest === ''
}

// How much of what was sent is the link, so that the piece behind it follows. The first that fits: a later one would leave less
// for all others.
function linkLength(sent: string, link: Link, piece: string, isLast: boolean): number | null {
  const run = /^\S*/.exec(sent)?.[0].length ?? 0
  // What was written is at most a slash longer than what X made of it.
  const longest = link.expanded === null ? run : Math.min(run, Math.max(link.expanded.length, link.shown.length) + 1)
  for (let length = 1; length <= longest; length++) {
    const follows = isLast
      ? sent.length === length + piece.length && sent.endsWith(piece)
      : sent.startsWith(piece, length)
    if (follows && standsFor(link, sent.slice(0, length))) return length
  }
  return null
}

// Two posts of one template differ in the link alone.
function standsFor({ shown, expanded }: Link, written: string): boolean {
  return expanded === null || written === shown || canonical(written) === canonical(expanded)
}

// X adds http:// where there was no protocol, and may lower the host's case.
function canonical(url: string): string {
  const whole = /^https?:/i.test(url) ? url : `http://${url}`
  return URL.parse(whole)?.href ?? whole
}

// Not composed: what stands apart on one side, by an entity or by the end of a link, must not have become one on the other.
function decompose(text: string): string {
  return text.normalize('NFD')
}

function decodeEntities(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

function squeeze(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
