import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecret, isSecret, parseTokenOwner, showSecret } from '../../src/auth/api-token-format.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { createEarlierSecret } from '../support/earlier-secret.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const read = (digits: string) => [...digits].reduce((value, digit) => value * 62n + BigInt(BASE62.indexOf(digit)), 0n)

const USER = 'f81d4fae-7dec-41d0-a765-00a0c91e6bf6'

describe('K-01 the secret of an API token', () => {
  test('is "xcg_", 160 random bits, the id of the user and a CRC-32 of all, in base62', () => {
    const secrets = Array.from({ length: 2_000 }, () => createSecret(USER))
    for (const secret of secrets) {
      expect(secret).toMatch(/^xcg_[0-9A-Za-z]{55}$/)
      expect(read(secret.slice(4, 31)) < 2n ** 160n).toBe(true)
      expect(read(secret.slice(31, 53))).toBe(BigInt(`0x${USER.replaceAll('-', '')}`))
      expect(read(secret.slice(53))).toBe(BigInt(crc32(secret.slice(0, 53))))
      expect(isSecret(secret)).toBe(true)
    }
    expect(new Set(secrets).size).toBe(secrets.length)
    // Each bit is 1 in half of the samples, within six standard deviations.
    for (let bit = 0n; bit < 160n; bit++) {
      const ones = secrets.filter((secret) => (read(secret.slice(4, 31)) >> bit) & 1n).length
      expect(Math.abs(ones - 1_000), `bit ${bit}`).toBeLessThan(6 * Math.sqrt(500))
    }
  })

  test('is refused when any one of its characters is changed', () => {
    const secret = createSecret(USER)
    for (let index = 0; index < secret.length; index++) {
      for (const character of [...BASE62, '_', '-', ' ', 'é', '\0']) {
        if (character === secret[index]) continue
        const changed = secret.slice(0, index) + character + secret.slice(index + 1)
        expect(isSecret(changed), changed).toBe(false)
      }
    }
  })

  test('is refused with two neighbouring characters swapped, one character more or less, or white space around it', () => {
    const secret = createSecret(USER)
    for (let index = 0; index + 1 < secret.length; index++) {
      const [one, other] = [secret.charAt(index), secret.charAt(index + 1)]
      if (one !== other) expect(isSecret(secret.slice(0, index) + other + one + secret.slice(index + 2))).toBe(false)
    }
    for (const changed of [secret.slice(0, -1), secret.slice(1), `${secret}0`, `${secret}\n`, ` ${secret}`, ''])
      expect(isSecret(changed)).toBe(false)
  })

  test('is not guessed: a million texts of the right form are refused, and any other text is', () => {
    const { pick } = createRandomness(62)
    const digits = [...BASE62]
    let passed = 0
    for (let number = 0; number < 1_000_000; number++) {
      let text = 'xcg_'
      for (let place = 0; place < 33; place++) text += pick(digits)
      // Each passes with a probability of 1 in 57 billion. The fixed seed makes the run repeatable.
      if (isSecret(text)) passed += 1
    }
    expect(passed).toBe(0)
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => !isSecret(text)),
      { numRuns: 10_000, seed: 62 },
    )
  })

  test('names its user, of any id; an earlier secret is accepted and names none', () => {
    const ids = [USER, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']
    for (const id of [...ids, ...Array.from({ length: 1_000 }, () => crypto.randomUUID())])
      expect(parseTokenOwner(createSecret(id))).toBe(id)
    const earlier = createEarlierSecret()
    expect(earlier).toMatch(/^xcg_[0-9A-Za-z]{33}$/)
    expect([isSecret(earlier), parseTokenOwner(earlier)]).toEqual([true, null])
  })

  test('is displayed as its first eight and its last four characters', () => {
    const secret = createSecret(USER)
    expect(showSecret(secret)).toEqual({ prefix: secret.slice(0, 8), lastFour: secret.slice(55) })
  })
})
