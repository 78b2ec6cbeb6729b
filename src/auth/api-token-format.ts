// The format of an API token's secret: `xcg_`, 27 characters of base62 (160 random bits), 22 (the id
// of its user), and 6 of a CRC-32 of all before. Secret scanners recognize the format, and a
// mistyped or invented secret is rejected without a query. The user's id is no secret; it lets one
// statement on the user's own rows find the token. It follows the random bits, so that the first
// characters still distinguish the tokens of one user. Earlier secrets are without it.
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const PREFIX = 'xcg_'
const RANDOM_BYTES = 20
// 62^27 is the first power of 62 above 2^160, and 62^6 the first above 2^32.
const RANDOM_CHARACTERS = 27
// The first power of 62 above 2^128.
const USER_CHARACTERS = 22
const CHECKSUM_CHARACTERS = 6
const USER_AT = PREFIX.length + RANDOM_CHARACTERS
const FORM = new RegExp(
  `^${PREFIX}[0-9A-Za-z]{${RANDOM_CHARACTERS}}(?:[0-9A-Za-z]{${USER_CHARACTERS}})?[0-9A-Za-z]{${CHECKSUM_CHARACTERS}}$`,
)
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Returns a new random secret that names this user. */
export function createSecret(userId: string): string {
  const random = base62(BigInt(`0x${randomBytes(RANDOM_BYTES).toString('hex')}`), RANDOM_CHARACTERS)
  const body = PREFIX + random + base62(BigInt(`0x${userId.replaceAll('-', '')}`), USER_CHARACTERS)
  return body + checksum(body)
}

/** Returns true for a text with the format and the checksum of a secret. */
export function isSecret(text: string): boolean {
  return FORM.test(text) && checksum(text.slice(0, -CHECKSUM_CHARACTERS)) === text.slice(-CHECKSUM_CHARACTERS)
}

/** Returns the user that a secret names; null for an earlier secret, which names none. */
export function parseTokenOwner(secret: string): string | null {
  const digits = secret.slice(USER_AT, -CHECKSUM_CHARACTERS)
  if (digits.length !== USER_CHARACTERS) return null
  const number = [...digits].reduce((value, digit) => value * 62n + BigInt(DIGITS.indexOf(digit)), 0n)
  // More than 128 bits are no id, and match no user.
  const hex = number.toString(16).padStart(32, '0').slice(-32)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/**
 * Returns the parts of a secret that are shown for recognition. At least 112 of its 160 bits stay
 * secret.
 */
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
