import { weightedLength } from '../../tweets/text/length.ts'
import { find } from './elements.ts'

// From this many remaining characters on, a warning is announced.
const WARN_BELOW = 20
// The pause before an announcement, so that a screen reader is not interrupted at each key.
const PAUSE_MILLISECONDS = 800

/**
 * Sets up the live count: a number, a ring, a description of the field, and a live region that
 * warns near the limit.
 */
export function createCounter(): (text: string, limit: number) => void {
  const frame = find(document, '.count', HTMLElement)
  const number = find(document, '#count', HTMLElement)
  const words = find(document, '#count-words', HTMLElement)
  const warning = find(document, '#count-warning', HTMLElement)
  const ring = find(document, '.count .used', SVGElement)
  let timer: ReturnType<typeof setTimeout> | undefined
  return (text, limit) => {
    const length = weightedLength(text)
    const left = limit - length
    number.textContent = `${length.toLocaleString('en')} / ${limit.toLocaleString('en')}`
    words.textContent = `${length} of ${limit} characters used`
    ring.style.strokeDashoffset = String(100 - Math.min(100, (length / limit) * 100))
    frame.dataset.tone = left < 0 ? 'bad' : left <= WARN_BELOW ? 'fair' : 'plain'
    clearTimeout(timer)
    timer = setTimeout(() => {
      const sentence = left < 0 ? `${-left} characters too many` : left <= WARN_BELOW ? `${left} characters left` : ''
      if (warning.textContent !== sentence) warning.textContent = sentence
    }, PAUSE_MILLISECONDS)
  }
}
