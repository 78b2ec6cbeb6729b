// Sealing (authenticated encryption) and hashing of secrets in the database. The envelope of a
// sealed value:
//   0x01 | length of key id | key id | salt (16) | nonce (12) | ciphertext | tag (16), as base64url
//
// Each record has its own key, HKDF-SHA-256(master key, salt, info = associated data), so that
// nonces of different records cannot collide. The associated data is the seal context (table,
// column, account, user): a ciphertext that is moved to another row or column does not open.
import { createCipheriv, createDecipheriv, createHmac, hash, hkdfSync, randomBytes } from 'node:crypto'

const VERSION = 0x01
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** A master key: 32 bytes, and an id that is stored in each envelope. */
export type EncryptionKey = { id: string; secret: Buffer }

/** The master keys: the first one seals, all of them open. */
export type KeyRing = readonly [EncryptionKey, ...EncryptionKey[]]

/** The place that a sealed value belongs to; the value opens only with the same context. */
export type SealContext = { table: string; column: string; accountId: string; userId: string }

/** A sealed value that does not open. */
export class UnsealError extends Error {
  /**
   * KEY_MISSING: the key is not configured, which the operator can repair. ALTERED: the value was
   * changed, or has another seal context.
   */
  readonly reason: 'KEY_MISSING' | 'ALTERED'
  /** The id of the missing key; null for ALTERED. */
  readonly keyId: string | null

  constructor(reason: UnsealError['reason'], detail: string, keyId: string | null = null) {
    super(detail)
    this.name = 'UnsealError'
    this.reason = reason
    this.keyId = keyId
  }
}

/** Generates random bytes as base64url, by default 32 bytes (256 bits). */
export function randomToken(bytes = 32): string {
  return randomBytes(bytes).toString('base64url')
}

/** SHA-256 in lower-case hex, for high-entropy secrets, which need no slow hash. */
export function sha256(text: string): string {
  return hash('sha256', text, 'hex')
}

/** HMAC-SHA-256 as base64url. */
export function hmacSha256(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}

/**
 * Generates a PKCE code verifier of 128 characters, the maximum of RFC 7636 section 4.1 (96 random
 * bytes).
 */
export function createCodeVerifier(): string {
  return randomToken(96)
}

/** Seals a secret for one context under the first key. */
export function seal(keys: KeyRing, context: SealContext, secret: string): string {
  const key = keys[0]
  const salt = randomBytes(SALT_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const data = associatedData(context)
  const cipher = createCipheriv('aes-256-gcm', recordKey(key, salt, data), nonce)
  cipher.setAAD(data)
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  const id = Buffer.from(key.id, 'utf8')
  return Buffer.concat([Buffer.from([VERSION, id.length]), id, salt, nonce, sealed, cipher.getAuthTag()]).toString(
    'base64url',
  )
}

/**
 * Opens a value that was sealed with the same context.
 * @throws UnsealError when it was altered or has another context, or when its key is not
 * configured.
 */
export function unseal(keys: KeyRing, context: SealContext, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64url')
  // Buffer skips invalid characters; only the canonical base64url encoding is accepted.
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
  const data = associatedData(context)
  const decipher = createDecipheriv('aes-256-gcm', recordKey(key, salt, data), nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(data)
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const opened = decipher.update(bytes.subarray(start + SALT_BYTES + NONCE_BYTES, -TAG_BYTES))
    return Buffer.concat([opened, decipher.final()]).toString('utf8')
  } catch {
    throw new UnsealError(
      'ALTERED',
      `A sealed value of ${context.table}.${context.column} was altered, or belongs to another row.`,
    )
  }
}

/**
 * The id of the key that sealed a value; key rotation needs it.
 * @throws UnsealError when the value is not an envelope.
 */
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

function associatedData(context: SealContext): Buffer {
  return Buffer.from(
    ['xconnect/v1', context.table, context.column, context.accountId, context.userId].join('|'),
    'utf8',
  )
}
