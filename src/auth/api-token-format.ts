// The form of an API token: xcg_, 27 characters of base62 (160 random bits), and 6 of a checksum over all before. Secret scanners know
// it by its form, and what was mistyped or made up is refused without a look at the database.
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const PREFIX = 'xcg_'
const RANDOM_BYTES = 20
// 62^27 is the first power beyond 2^160, and 62^6 the first beyond 2^32.
const RANDOM_CHARACTERS = 27
const CHECKSUM_CHARACTERS = 6
const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}$`)
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A fresh secret. */
export function createSecret(): string {
  const body = PREFIX + base62(BigInt(`0x${randomBytes(RANDOM_BYTES).toString('hex')}`), RANDOM_CHARACTERS)
  return body + checksum(body)
}

/** True for a text that `createSecret` may have made. */
export function isSecret(text: string): boolean {
  return FORM.test(text) && checksum(text.slice(0, -CHECKSUM_CHARACTERS)) === text.slice(-CHECKSUM_CHARACTERS)
}

/** What may be shown of a secret, for people to know it again: 112 of its 160 bits at least stay unknown. */
export function showSecret(secret: string): { prefix: string; lastFour: string } {
  return { prefix: secret.slice(0, 8), lastFour: secret.slice(-4) }
}

function checksum(body: string): string {
  return base62(BigInt(crc32(body)), CHECKSUM_CHARACTERS)
}

function base62(number: bigint, length: number): string {
  let digits = ''
  for (let rest = number; rest > 0n; rest /= 62n) digits = DIGITS.charAt(Number(rest % 62n)) + digits
  return digits.padStart(length, '0')
}
