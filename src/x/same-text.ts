import { findUrls } from './text.ts'

/** A post of a timeline, as far as it tells which tweet of ours it is. */
export type ShownText = {
  /** As X shows it: URLs as t.co links, & < > as entities. */
  text: string
  /** What the links stand for, as X tells it; empty when it does not. */
  expandedUrls: readonly string[]
}

const LINK = '\u0000'

/** True when X shows `sent` as `shown`: after t.co rewriting, entities, Unicode normalisation and white space. */
export function isSameText(sent: string, shown: ShownText): boolean {
  const ours = maskUrls(sent.normalize('NFC'))
  const theirs = shown.text.normalize('NFC').replaceAll(/https?:\/\/t\.co\/[A-Za-z0-9]+/g, LINK)
  if (squeeze(ours.text) !== squeeze(decodeEntities(theirs))) return false
  // Two posts of one template differ in the link alone.
  return (
    shown.expandedUrls.length === 0 ||
    (ours.urls.length === shown.expandedUrls.length &&
      ours.urls.every((url, i) => isSameUrl(url, shown.expandedUrls[i] ?? '')))
  )
}

function maskUrls(text: string): { text: string; urls: string[] } {
  const urls: string[] = []
  let masked = ''
  let position = 0
  for (const [start, length] of [...findUrls(text)].sort(([a], [b]) => a - b)) {
    masked += text.slice(position, start) + LINK
    urls.push(text.slice(start, start + length))
    position = start + length
  }
  return { text: masked + text.slice(position), urls }
}

// X adds http:// where there was no protocol, and may lower the host's case.
function isSameUrl(sent: string, expanded: string): boolean {
  const canonical = (url: string) => URL.parse(/^https?:/i.test(url) ? url : `http://${url}`)?.href ?? url
  return canonical(sent) === canonical(expanded)
}

function decodeEntities(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

function squeeze(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
