// API tokens as they were before they named their user, and forged ones.
import { crc32 } from 'node:zlib'
import { createSecret } from '../../src/auth/api-token-format.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Returns a random secret in the earlier form: `xcg_`, 160 random bits, and a CRC-32 of both. */
export function createEarlierSecret(): string {
  return withChecksum(createSecret(crypto.randomUUID()).slice(0, 31))
}

/** Returns the secret with another user's id in the place of its own, and a good checksum. */
export function forgeOwner(secret: string, userId: string): string {
  return withChecksum(secret.slice(0, 31) + createSecret(userId).slice(31, 53))
}

function withChecksum(body: string): string {
  let checksum = ''
  for (let rest = crc32(body); checksum.length < 6; rest = Math.floor(rest / 62))
    checksum = BASE62.charAt(rest % 62) + checksum
  return body + checksum
}
