// Text that people read in terminals, one line for each: of the operator, and of others.

// Control characters, line breaks, lone surrogates and bidirectional controls.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

const EACH = new RegExp(UNPRINTABLE, 'gu')
const EACH_BUT_LINES = new RegExp(`(?![\\n\\t])${UNPRINTABLE.source}`, 'gu')

/** Returns true for a text of 1 to `maxLength` UTF-16 code units without what a terminal obeys. */
export function isPrintable(text: string, maxLength: number): boolean {
  return text !== '' && text.length <= maxLength && !UNPRINTABLE.test(text)
}

/**
 * Returns a text that others chose, such as a name at GitHub, as a part of one line: without what a
 * terminal obeys, each such character as `\uXXXX`.
 */
export function toPrintable(text: string): string {
  return text.replace(EACH, toEscape)
}

/** Does the same for complete lines. In JSON the text stays the same. */
export function toPrintableLines(text: string): string {
  return text.replace(EACH_BUT_LINES, toEscape)
}

function toEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
