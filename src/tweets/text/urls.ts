// Finds the parts of a text that X turns into links, by the URL rules of twitter-text 3.1.0
// (Copyright Twitter, Inc. and other contributors, Apache-2.0,
// https://github.com/twitter/twitter-text). The algorithm differs: the single regular expression of
// twitter-text takes quadratic time on hostile text (two minutes for "日." fifty thousand times).
// Here each character belongs to one label, each label is examined once, from right to left, so
// that the longest domain after it is known, and each pattern runs over one character class at a
// time. Quirks of twitter-text that change a count are reproduced; each is marked `Quirk`.
//
// This module also runs in the browser: it may import only modules that are served there too (see
// src/console/assets.ts).

import { tlds } from './data.ts'
import { MAX_DOMAIN_LABEL_LENGTH, punycodeLength } from './punycode.ts'

/** X does not link longer URLs. */
const MAX_URL_LENGTH = 4096
const MAX_TCO_SLUG_LENGTH = 40

// Character classes. Their patterns have no `u` flag and match UTF-16 units, as those of
// twitter-text.
/** The characters that X refuses in any text, as the inside of a character class. */
export const invalidCharacters = '\\ufffe\\ufeff\\uffff'
const spaces = '\\x09-\\x0d \\x85\\xa0\\u1680\\u180e\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const directionalMarkers = '\\u202a-\\u202e\\u061c\\u200e\\u200f\\u2066-\\u2069'
/**
 * Punctuation that cannot be part of a label. - and _ can be inside one, " and ` anywhere in one.
 */
const punctuation = "!'#%&()*+,\\\\./:;<=>?@\\[\\]^{|}~$"
const latinAccents =
  '\\xc0-\\xd6\\xd8-\\xf6\\xf8-\\u024f\\u0253\\u0254\\u0256\\u0257\\u0259\\u025b\\u0263\\u0268\\u026f\\u0272\\u0289' +
  '\\u028b\\u02bb\\u0300-\\u036f\\u1e00-\\u1eff'
const pathLetters = `a-z0-9\\u0400-\\u04ff${latinAccents}`
const pathCharacters = `${pathLetters}!*';:=+,.$/%#\\[\\]\\-\\u2013_~@|&`
const queryCharacters = "a-z0-9!?*'@();:&=+$/%#\\[\\]\\-_.,~|"

const labelRun = new RegExp(`[^${punctuation}${spaces}${invalidCharacters}${directionalMarkers}]+`, 'g')
const asciiLabels = new RegExp(`(?:[-a-z0-9${latinAccents}]+\\.)+`, 'gi')
const precedesNoUrl = new RegExp(`[A-Za-z0-9@\uff20$#\uff03${invalidCharacters}]`)
const precedesNoBareUrl = /[-_./]/
const endsNoTld = /[0-9@+-]/
const asciiLetters = /[a-z]+/iy
const punycodeTld = /xn--[-0-9a-z]+/iy
const internationalTld = new RegExp(
  // The longest first, because two names begin with another name.
  `(?:${internationalTlds().join('|')})(?=[^0-9a-zA-Z@+-]|$)`,
  'iy',
)
const asciiTlds = new Set(tlds.filter((tld) => /^[a-z]+$/.test(tld)))
const port = /:[0-9]+/y
const balancedParentheses = `\\((?:[${pathCharacters}]+|[${pathCharacters}]*\\([${pathCharacters}]+\\)[${pathCharacters}]*)\\)`
const pathPiece = new RegExp(`[${pathCharacters}]+|${balancedParentheses}`, 'iy')
const pathEnding = new RegExp(`[${pathLetters}+\\-=_#/]`, 'i')
const query = new RegExp(`\\?[${queryCharacters}]*[a-z0-9\\-_&=#/]`, 'iy')
const tcoUrl = new RegExp(`^https?://t\\.co/([a-z0-9]+)(?:${query.source})?`, 'i')

/**
 * Returns the links in an NFC text, as a map from the index of each to its number of UTF-16 units.
 */
export function findUrls(text: string): ReadonlyMap<number, number> {
  const urls = new Map<number, number>()
  let position = 0
  for (const label of text.includes('.') ? findLabels(text) : []) {
    const url = urlWithProtocol(text, label, position) ?? bareUrl(text, label, position)
    if (!url) continue
    for (const [index, units] of linkedParts(text, url)) urls.set(index, units)
    // Also when no part of it is linked: a refused URL is not examined again from its second
    // character.
    position = url.end
  }
  return urls
}

/**
 * A run of letters, digits, hyphens and underscores before a dot, with the ends of the domains that
 * it can begin.
 */
type Label = {
  start: number
  /** The index of the dot. */
  end: number
  /** The index of the last underscore, which is allowed only in a subdomain. */
  lastUnderscore: number
  /** The end of the top-level domain directly after the dot; null when there is none. */
  tldEnd: number | null
  /**
   * The end of the longest domain that continues with the label after the dot; null when there is
   * none.
   */
  longerEnd: number | null
}

function findLabels(text: string): Label[] {
  const labels: Label[] = []
  for (const { 0: run, index: start } of [...text.matchAll(labelRun)].reverse()) {
    const end = start + run.length
    if (text[end] !== '.' || isJoiner(text, end - 1)) continue
    const next = labels.at(-1)
    const longerEnd = next?.start === end + 1 ? longestDomain(text, next, next.start) : null
    labels.push({ start, end, lastUnderscore: start + run.lastIndexOf('_'), tldEnd: tldEnd(text, end + 1), longerEnd })
  }
  return labels.reverse()
}

/** Returns the end of the longest domain whose first label begins at `start`, within this label. */
function longestDomain(text: string, label: Label, start: number): number | null {
  if (isJoiner(text, start)) return null
  return label.longerEnd ?? (start > label.lastUnderscore ? label.tldEnd : null)
}

function isJoiner(text: string, index: number): boolean {
  return text[index] === '-' || text[index] === '_'
}

function tldEnd(text: string, start: number): number | null {
  const lettersEnd = endOf(asciiLetters, text, start)
  const isTld = asciiTlds.has(text.slice(start, lettersEnd).toLowerCase())
  if (isTld && !endsNoTld.test(text.charAt(lettersEnd))) return lettersEnd
  const end = Math.max(endOf(internationalTld, text, start), endOf(punycodeTld, text, start))
  return end > start ? end : null
}

function internationalTlds(): string[] {
  return tlds.filter((tld) => /[^a-z0-9-]/.test(tld)).sort((one, other) => other.length - one.length)
}

function urlWithProtocol(text: string, label: Label, position: number): Url | null {
  const protocol = /https?:\/\/$/i.exec(text.slice(Math.max(0, label.start - 8), label.start))?.[0]
  if (!protocol || !mayBegin(text, label.start - protocol.length, position)) return null
  return readUrl(text, protocol, label, label.start)
}

/** Finds a URL without a protocol. It may begin in the middle of a label: 日本語example.com. */
function bareUrl(text: string, label: Label, position: number): Url | null {
  if (label.tldEnd === null && label.longerEnd === null) return null
  // Quirk: at the very beginning of a text the second character is tried before the first.
  const starts = label.start === 0 && label.end > 1 ? [1, 0] : []
  for (let index = Math.max(label.start, position); index < label.end; index++) {
    const start = starts[index - label.start] ?? index
    const url = mayBegin(text, start, position) ? readUrl(text, '', label, start) : null
    if (url) return url
  }
  return null
}

/** Returns true when a URL may begin at `start`. It must not directly follow another URL. */
function mayBegin(text: string, start: number, position: number): boolean {
  return start === 0 || (start > position && !precedesNoUrl.test(text.charAt(start - 1)))
}

type Url = { protocol: string; start: number; domain: string; hasPath: boolean; end: number }

function readUrl(text: string, protocol: string, label: Label, domainStart: number): Url | null {
  const domainEnd = longestDomain(text, label, domainStart)
  if (domainEnd === null) return null
  const start = domainStart - protocol.length
  const portEnd = endOf(port, text, domainEnd)
  const hasPath = text[portEnd] === '/'
  const end = endOf(query, text, hasPath ? pathEnd(text, portEnd) : portEnd)
  return { protocol, start, domain: text.slice(domainStart, domainEnd), hasPath, end }
}

/**
 * Returns the end of a path. It ends with a letter, a digit, one of + - = _ # / or with parentheses
 * directly after one of these. Other punctuation at the end belongs to the sentence.
 */
function pathEnd(text: string, slash: number): number {
  let end = slash + 1
  for (let pieceStart = end, pieceEnd = end; ; pieceStart = pieceEnd) {
    pieceEnd = endOf(pathPiece, text, pieceStart)
    if (pieceEnd === pieceStart) return end
    if (text[pieceStart] === '(') {
      if (end === pieceStart) end = pieceEnd
      continue
    }
    let last = pieceEnd
    while (last > pieceStart && !pathEnding.test(text.charAt(last - 1))) last--
    if (last > pieceStart) end = last
  }
}

/** Returns the parts of a URL that X replaces with links, each as index and number of units. */
function linkedParts(text: string, { protocol, start, domain, hasPath, end }: Url): [number, number][] {
  // Quirk: a protocol in the text counts twice towards the limit.
  if ((protocol || 'https://').length + end - start > MAX_URL_LENGTH || !isEncodable(domain)) return []
  if (protocol) {
    const tco = tcoUrl.exec(text.slice(start, end))
    if (!tco) return [[start, end - start]]
    return (tco[1] ?? '').length > MAX_TCO_SLUG_LENGTH ? [] : [[start, tco[0].length]]
  }
  if (precedesNoBareUrl.test(text.charAt(start - 1))) return []
  const parts: [number, number][] = []
  let offset = 0
  for (const asciiDomain of findAsciiDomains(domain)) {
    // Quirk: an earlier occurrence of the same name in the domain is used instead.
    offset = domain.indexOf(asciiDomain, offset)
    parts.push([start + offset, asciiDomain.length])
    offset += asciiDomain.length
  }
  const last = parts.at(-1)
  // Quirk: the text after the domain counts to the last name, even if that name is not at the end.
  if (last && hasPath) last[1] += end - start - domain.length
  return parts
}

/**
 * Without a protocol, X links only names in (accented) Latin letters; the top-level domain may be
 * in any script.
 */
function findAsciiDomains(domain: string): string[] {
  const found: string[] = []
  asciiLabels.lastIndex = 0
  for (let match = asciiLabels.exec(domain); match; match = asciiLabels.exec(domain)) {
    for (let dot = asciiLabels.lastIndex - 1; dot > match.index; dot = domain.lastIndexOf('.', dot - 1)) {
      const end = tldEnd(domain, dot + 1)
      if (end === null) continue
      found.push(domain.slice(match.index, end))
      asciiLabels.lastIndex = end
      break
    }
  }
  return found
}

function isEncodable(domain: string): boolean {
  if (domain.startsWith('xn--') && findAsciiDomains(domain).length === 0) return false
  return domain.split('.').every((label) => {
    // Three East Asian full stops separate labels in DNS, but count as letters in the rules above.
    const parts = label.split(/[\u3002\uff0e\uff61]/)
    const encodedLength = parts.reduce((sum, part) => sum + punycodeLength(part), parts.length - 1)
    return encodedLength <= MAX_DOMAIN_LABEL_LENGTH
  })
}

/** Returns the end of a sticky pattern's match at `index`, or `index` without a match. */
function endOf(pattern: RegExp, text: string, index: number): number {
  pattern.lastIndex = index
  return pattern.test(text) ? pattern.lastIndex : index
}
