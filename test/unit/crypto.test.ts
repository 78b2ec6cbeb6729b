import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  createCodeVerifier,
  type KeyRing,
  randomToken,
  type SealContext,
  seal,
  sealedKeyId,
  sha256,
  UnsealError,
  unseal,
} from '../../src/crypto.ts'

const key = (id: string) => ({ id, secret: randomBytes(32) })
const keys: KeyRing = [key('k2'), key('k1')]
const place: SealContext = { table: 'oauth_tokens', column: 'access_token_sealed', accountId: 'a-1', userId: 'u-1' }
const secret = 'an access token of X: ÿ 💥'

/** Returns the reason of the UnsealError; fails for any other result. */
function reasonOf(work: () => unknown): UnsealError['reason'] {
  try {
    work()
  } catch (error) {
    if (error instanceof UnsealError) {
      expect(error.message).not.toContain(secret)
      return error.reason
    }
    throw error
  }
  throw new Error('It opened')
}

describe('PKCE', () => {
  test('a verifier is 96 random bytes in 128 unreserved characters, and differs each time', () => {
    const verifiers = Array.from({ length: 1_000 }, () => createCodeVerifier())
    for (const verifier of verifiers) {
      expect(verifier).toMatch(/^[A-Za-z0-9_-]{128}$/)
    }
    expect(new Set(verifiers).size).toBe(1_000)
  })
})

test('a token is 256 random bits in base64url, and its hash is SHA-256 (FIPS 180-4)', () => {
  expect(randomToken()).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

describe('E-02 a sealed value', () => {
  test.each(['', 'x', secret, '\0', 'x'.repeat(100_000)])('opens with its seal context: %.20s', (text) => {
    const sealed = seal(keys, place, text)
    expect(unseal(keys, place, sealed)).toBe(text)
    if (text.length > 3) expect(Buffer.from(sealed, 'base64url').includes(text)).toBe(false)
  })

  test('does not open with any single bit changed', () => {
    const sealed = Buffer.from(seal(keys, place, secret), 'base64url')
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const reason = reasonOf(() => unseal(keys, place, changed.toString('base64url')))
      // With a changed key id the key may be unknown; any other change is an alteration.
      const isKeyId = bit >= 16 && bit < 32
      expect(
        isKeyId ? ['ALTERED', 'KEY_MISSING'] : ['ALTERED', ...(bit < 16 ? ['KEY_MISSING'] : [])],
        `bit ${bit}`,
      ).toContain(reason)
    }
  })

  test('does not open truncated at any length, nor with anything appended', () => {
    const sealed = Buffer.from(seal(keys, place, secret), 'base64url')
    for (let length = 0; length < sealed.length; length++) {
      for (const part of [sealed.subarray(0, length), sealed.subarray(sealed.length - length)]) {
        reasonOf(() => unseal(keys, place, part.toString('base64url')))
      }
    }
    for (const more of [Buffer.alloc(1), Buffer.alloc(16), sealed]) {
      expect(reasonOf(() => unseal(keys, place, Buffer.concat([sealed, more]).toString('base64url')))).toBe('ALTERED')
    }
  })

  test('does not open in another base64 encoding of the same bytes', () => {
    const sealed = seal(keys, place, secret)
    const base64 = Buffer.from(sealed, 'base64url').toString('base64')
    for (const other of [
      `${sealed}=`,
      ` ${sealed}`,
      `${sealed}\n`,
      `${sealed.slice(0, 5)}!${sealed.slice(5)}`,
      base64 === sealed ? `${base64}==` : base64,
    ]) {
      expect(reasonOf(() => unseal(keys, place, other))).toBe('ALTERED')
    }
  })

  test.each(['', ' ', 'x', 'null', '{}', 'AQ', 'AQA', 'Af8', '💥', '\0', 'A'.repeat(10_000)])(
    'junk does not open: %.20j',
    (junk) => {
      reasonOf(() => unseal(keys, place, junk))
    },
  )

  test.each<[string, Partial<SealContext>]>([
    ['table', { table: 'orphaned_tokens' }],
    ['column', { column: 'refresh_token_sealed' }],
    ['account', { accountId: 'a-2' }],
    ['user', { userId: 'u-2' }],
    ['account and user id, split differently', { accountId: 'a-1|u', userId: '-1' }],
  ])('does not open with another %s', (_what, elsewhere) => {
    const sealed = seal(keys, place, secret)
    expect(reasonOf(() => unseal(keys, { ...place, ...elsewhere }, sealed))).toBe('ALTERED')
  })

  test('opens with any key of the ring, is sealed with the first, and names the key that it needs', () => {
    const [newer, older] = keys
    const sealed = seal([older ?? newer], place, secret)
    expect(sealedKeyId(sealed)).toBe('k1')
    expect(sealedKeyId(seal(keys, place, secret))).toBe('k2')
    expect(unseal(keys, place, sealed)).toBe(secret)
    expect(reasonOf(() => unseal([newer], place, sealed))).toBe('KEY_MISSING')
    // A key with the same id and other bytes is not that key.
    expect(reasonOf(() => unseal([key('k1')], place, sealed))).toBe('ALTERED')
  })

  test('E-03 differs each time: the salts and nonces of fifty thousand values are distinct', () => {
    const salts = new Set<string>()
    const nonces = new Set<string>()
    for (let count = 0; count < 50_000; count++) {
      const bytes = Buffer.from(seal(keys, place, 'x'), 'base64url')
      salts.add(bytes.subarray(4, 20).toString('hex'))
      nonces.add(bytes.subarray(20, 32).toString('hex'))
    }
    expect([salts.size, nonces.size]).toEqual([50_000, 50_000])
  })
})
