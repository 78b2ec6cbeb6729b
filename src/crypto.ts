// Every secret's way in and out of storage. Sealing follows one envelope:
//   0x01 | length of key id | key id | salt (16) | nonce (12) | ciphertext | tag (16), as base64url
// Each record has its own key, HKDF-SHA-256(master key, salt, info = associated data), so that one record's nonce can never
// meet another record's. The associated data names table, column, account and user: a ciphertext moved elsewhere does not open.
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'

const VERSION = 0x01
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** One master key: an id that is stored beside each ciphertext, and 32 bytes. */
export type EncryptionKey = { id: string; secret: Buffer }

/** The master keys by order of use: the first writes, all of them open. */
export type KeyRing = readonly [EncryptionKey, ...EncryptionKey[]]

/** Where a sealed value lives. It opens only there. */
export type SealContext = { table: string; column: string; accountId: string; userId: string }

/** A sealed value that does not open. */
export class UnsealError extends Error {
  /** KEY_MISSING: the operator took its key away, and may bring it back. ALTERED: it was changed, or belongs elsewhere. */
  readonly reason: 'KEY_MISSING' | 'ALTERED'
  /** The id of the missing key; null for what was altered. */
  readonly keyId: string | null

  constructor(reason: UnsealError['reason'], detail: string, keyId: string | null = null) {
    super(detail)
    this.name = 'UnsealError'
    this.reason = reason
    this.keyId = keyId
  }
}

/** `bytes` random bytes as base64url (32 bytes, 256 bits, unless told otherwise). */
export function randomToken(bytes = 32): string {
  return randomBytes(bytes).toString('base64url')
}

/** SHA-256 as lower-case hex. For high-entropy secrets, which need no slow hash. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** HMAC-SHA-256 as base64url: 256 bits that follow from `key` and `text`, and say nothing of either. */
export function hmacSha256(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

/** A fresh code verifier of 128 characters, the longest RFC 7636 section 4.1 allows (96 random bytes). */
export function createCodeVerifier(): string {
  return randomToken(96)
}

/** Seals a secret for one place under the ring's first key. */
export function seal(keys: KeyRing, place: SealContext, secret: string): string {
  const key = keys[0]
  const salt = randomBytes(SALT_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const data = associatedData(place)
  const cipher = createCipheriv('aes-256-gcm', recordKey(key, salt, data), nonce)
  cipher.setAAD(data)
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  const id = Buffer.from(key.id, 'utf8')
  return Buffer.concat([Buffer.from([VERSION, id.length]), id, salt, nonce, sealed, cipher.getAuthTag()]).toString(
    'base64url',
  )
}

/**
 * Opens what `seal` made for the same place.
 * @throws UnsealError when it was altered or moved, or its key is not in the ring.
 */
export function unseal(keys: KeyRing, place: SealContext, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64url')
  // Buffer skips what is not base64url; only the one canonical spelling of the bytes is accepted.
  if (bytes.toString('base64url') !== sealed)
    throw new UnsealError('ALTERED', 'A sealed value is not canonical base64url.')
  const id = sealedKeyId(sealed)
  const key = keys.find((candidate) => candidate.id === id)
  if (key === undefined) {
    throw new UnsealError(
      'KEY_MISSING',
      `A sealed value needs the encryption key "${id}", which is not configured.`,
      id,
    )
  }
  const start = 2 + Buffer.byteLength(id)
  if (bytes.length < start + SALT_BYTES + NONCE_BYTES + TAG_BYTES)
    throw new UnsealError('ALTERED', 'A sealed value is truncated.')
  const salt = bytes.subarray(start, start + SALT_BYTES)
  const nonce = bytes.subarray(start + SALT_BYTES, start + SALT_BYTES + NONCE_BYTES)
  const data = associatedData(place)
  const decipher = createDecipheriv('aes-256-gcm', recordKey(key, salt, data), nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(data)
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const opened = decipher.update(bytes.subarray(start + SALT_BYTES + NONCE_BYTES, -TAG_BYTES))
    return Buffer.concat([opened, decipher.final()]).toString('utf8')
  } catch {
    throw new UnsealError(
      'ALTERED',
      `A sealed value of ${place.table}.${place.column} was altered, or belongs to another row.`,
    )
  }
}

/** The id of the key that sealed a value, to find what still waits for re-sealing. @throws UnsealError on junk. */
export function sealedKeyId(sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64url')
  const length = bytes[1]
  if (bytes[0] !== VERSION || length === undefined || bytes.length < 2 + length) {
    throw new UnsealError('ALTERED', 'A sealed value has no readable key id.')
  }
  return bytes.subarray(2, 2 + length).toString('utf8')
}

function recordKey(key: EncryptionKey, salt: Buffer, data: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key.secret, salt, data, 32))
}

function associatedData(place: SealContext): Buffer {
  return Buffer.from(['xconnect/v1', place.table, place.column, place.accountId, place.userId].join('|'), 'utf8')
}
