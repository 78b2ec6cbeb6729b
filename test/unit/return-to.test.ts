import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseReturnTo } from '../../src/auth/return-to.ts'
import { parseConfig } from '../../src/config/config.ts'
import { AppError } from '../../src/errors.ts'
import { expectSafeReturn, hostileReturns } from '../support/return-to-corpus.ts'

const OWN = 'http://127.0.0.1:3000'
const FRONT_END = 'https://app.example'
const config = parseConfig({ ALLOWED_ORIGINS: FRONT_END })

/** Returns the URL that the text leads to; null when it is refused. */
function read(text: string): string | null {
  try {
    return parseReturnTo(config, text, ['returnTo'])
  } catch (error) {
    if (error instanceof AppError && error.code === 'RETURN_TO_NOT_ALLOWED') return null
    throw error
  }
}

test('O-08 hundreds of hostile values are refused or lead to a page of this origin', () => {
  const corpus = hostileReturns(OWN, FRONT_END)
  expect(new Set(corpus).size).toBeGreaterThan(400)
  let refused = 0
  for (const text of corpus) {
    const location = read(text)
    if (location === null) refused += 1
    else expectSafeReturn(location, text, OWN, FRONT_END)
  }
  // The others are unusual paths of this origin.
  expect(refused).toBeGreaterThan(250)
})

test('O-08 so is any text made of their pieces', () => {
  const pieces = [
    ...[
      '/',
      '//',
      '\\',
      ':',
      '@',
      '?',
      '#',
      '.',
      '../..',
      '%2f',
      '%5c',
      '%2e',
      '%09',
      '%0d%0a',
      '%61',
      '\t',
      '\r\n',
      '\0',
      ' ',
    ],
    ...[
      'http',
      'https',
      'javascript',
      'data',
      'blob',
      'auth',
      'x',
      'callback',
      'evil.example',
      'app.example',
      '127.0.0.1:3000',
    ],
    ...[OWN, FRONT_END, '[::1]', '💥', '\ud800', '\u00a0', '。', 'é'],
  ]
  const texts = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 3, unit: 'binary' })), {
    minLength: 1,
    maxLength: 8,
  })
  let taken = 0
  fc.assert(
    fc.property(texts, (parts) => {
      const text = parts.join('')
      const location = read(text)
      if (location === null) return
      taken += 1
      expectSafeReturn(location, text, OWN, FRONT_END)
      expect(location.length).toBeLessThanOrEqual(2_000)
      // Parsed again, as by a browser, it is the same URL.
      expect(read(location)).toBe(location)
    }),
    { numRuns: 20_000 },
  )
  expect(taken).toBeGreaterThan(2_000)
})

test.each(['/', '/settings?tab=x#links', '/graphql', '/authors', '/x/auth/x', `${FRONT_END}/auth/x`, FRONT_END])(
  '%s is accepted',
  (text) => {
    expect(read(text)).toBe(new URL(text, OWN).href)
  },
)
