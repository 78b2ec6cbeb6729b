import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Returns a token in X's format: base64 of random text, the time and the kind (`at`, `rt`, `ac`).
 */
export function newXSecret(kind: 'at' | 'rt' | 'ac', now: number): string {
  return Buffer.from(`${randomBytes(32).toString('base64url')}:${Math.floor(now)}:1:0:${kind}:1`).toString('base64url')
}

/**
 * Returns a token in GitHub's format since 2021: a prefix for secret scanners, then 36 letters and
 * digits.
 */
export function newGithubToken(): string {
  const letters = randomBytes(64)
    .toString('base64')
    .replace(/[^A-Za-z0-9]/g, '')
  return `gho_${letters.slice(0, 36).padEnd(36, '0')}`
}

/** RFC 7636, section 4.6: BASE64URL(SHA256(code_verifier)) must equal the challenge. */
export function verifierMatches(verifier: string, challenge: string): boolean {
  // RFC 7636, section 4.1: 43 to 128 unreserved characters.
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(verifier)) return false
  return sameSecret(createHash('sha256').update(verifier).digest('base64url'), challenge)
}

/** Compares two secrets. */
export function sameSecret(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}
