// Compares the text of a post with the text that was sent. Which parts X turns into links is read
// from the post, not computed: X's rules may know a newer top-level domain than ours, and a tweet
// that is not recognised would be sent again.

import type { ShownText } from '../../x/timeline.ts'

type Link = { shown: string; expanded: string | null }

// The truncation may split an entity, or a character of several code points.
const CUT_MARGIN = 8
const SHORT_LINK = /https?:\/\/t\.co\/[A-Za-z0-9]+/g

/**
 * Returns true when X shows `sent` as this text: with t.co links, entities, Unicode normalisation
 * and white space taken into account.
 */
export function isSameText(sent: string, { text, expandedUrls }: ShownText): boolean {
  const shortLinks = text.match(SHORT_LINK) ?? []
  if (expandedUrls.length > 0 && expandedUrls.length !== shortLinks.length) return false
  return matches(sent, text, expandedUrls, true)
}

/** Returns true when this text may be `sent`, truncated by X: both are equal up to the ellipsis. */
export function beginsLikeText(sent: string, { text, expandedUrls }: ShownText): boolean {
  const kept = text.slice(0, text.lastIndexOf('…'))
  const shortLinks = kept.match(SHORT_LINK) ?? []
  // X may list the links of the whole text, or its own link to the whole post.
  return matches(sent, kept, expandedUrls.length < shortLinks.length ? [] : expandedUrls, false)
}

function matches(sent: string, text: string, expandedUrls: readonly string[], isWhole: boolean): boolean {
  const shortLinks = text.match(SHORT_LINK) ?? []
  const [start = '', ...pieces] = collapseWhiteSpace(text)
    .split(SHORT_LINK)
    .map((piece, i) => (isWhole || i < shortLinks.length ? piece : piece.slice(0, -CUT_MARGIN)))
    .map(decodeEntities)
    .map(decompose)
  let rest = decompose(collapseWhiteSpace(sent))
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

// Returns the length of a link in the sent text, such that the next piece follows it. The shortest
// that fits, because a longer one would leave less for the rest.
function linkLength(sent: string, link: Link, piece: string, isLast: boolean): number | null {
  const run = /^\S*/.exec(sent)?.[0].length ?? 0
  // The written link is at most one slash longer than X's.
  const longest = link.expanded === null ? run : Math.min(run, Math.max(link.expanded.length, link.shown.length) + 1)
  for (let length = 1; length <= longest; length++) {
    const follows = isLast
      ? sent.length === length + piece.length && sent.endsWith(piece)
      : sent.startsWith(piece, length)
    if (follows && standsFor(link, sent.slice(0, length))) return length
  }
  return null
}

// Two posts of one template may differ only in the link.
function standsFor({ shown, expanded }: Link, written: string): boolean {
  return expanded === null || written === shown || canonical(written) === canonical(expanded)
}

// X adds a missing http://, and may lower the host's case.
function canonical(url: string): string {
  const whole = /^https?:/i.test(url) ? url : `http://${url}`
  return URL.parse(whole)?.href ?? whole
}

// NFD, not NFC: characters that an entity or the end of a link separates on one side must not be
// composed on the other.
function decompose(text: string): string {
  return text.normalize('NFD')
}

function decodeEntities(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

function collapseWhiteSpace(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
