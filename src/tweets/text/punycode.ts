// The length of a domain label in DNS. This module also runs in the browser, and imports nothing.

/** The longest label in DNS (RFC 1035 section 2.3.4). */
export const MAX_DOMAIN_LABEL_LENGTH = 63

/**
 * Returns the length of a label in Punycode (RFC 3492 sections 6.1 and 6.3). Counts the digits
 * without writing them.
 */
export function punycodeLength(label: string): number {
  const codePoints = Array.from(label, (character) => character.codePointAt(0) ?? 0)
  const basicCount = codePoints.filter((codePoint) => codePoint < 0x80).length
  if (basicCount === codePoints.length) return basicCount
  let length = 'xn--'.length + basicCount + (basicCount > 0 ? 1 : 0)
  // Each other code point needs at least one digit. This bounds the loops below.
  if (length + codePoints.length - basicCount > MAX_DOMAIN_LABEL_LENGTH) return Number.POSITIVE_INFINITY
  let [current, delta, bias] = [0x80, 0, 72]
  for (let handled = basicCount; handled < codePoints.length; delta++, current++) {
    const smallest = Math.min(...codePoints.filter((codePoint) => codePoint >= current))
    delta += (smallest - current) * (handled + 1)
    current = smallest
    for (const codePoint of codePoints) {
      if (codePoint < current) delta++
      if (codePoint !== current) continue
      length += digitCount(delta, bias)
      bias = adaptBias(delta, handled + 1, handled === basicCount)
      delta = 0
      handled++
    }
  }
  return length
}

function digitCount(delta: number, bias: number): number {
  let digits = 1
  for (let rest = delta, k = 36; ; k += 36, digits++) {
    const threshold = Math.min(Math.max(k - bias, 1), 26)
    if (rest < threshold) return digits
    rest = Math.floor((rest - threshold) / (36 - threshold))
  }
}

function adaptBias(delta: number, handled: number, isFirst: boolean): number {
  let rest = Math.floor(delta / (isFirst ? 700 : 2))
  rest += Math.floor(rest / handled)
  let k = 0
  for (; rest > 455; k += 36) rest = Math.floor(rest / 35)
  return k + Math.floor((36 * rest) / (rest + 38))
}
