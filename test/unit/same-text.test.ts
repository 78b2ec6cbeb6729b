// Whether a post in a timeline has the text that was sent. The sandbox rewrites the texts as X does,
// with code of its own.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeText } from '../../src/sandbox/x/tweet-text.ts'
import { isSameText } from '../../src/tweets/text/match.ts'
import type { ShownText } from '../../src/x/timeline.ts'

const shownAs = (text: string): ShownText => {
  const encoded = encodeText(text, '1849302774156890113')
  return { text: encoded.text, expandedUrls: encoded.urls.map(({ expandedUrl }) => expandedUrl) }
}
const withoutLinks = (shown: ShownText): ShownText => ({ ...shown, expandedUrls: [] })

describe('a sent text is found again', () => {
  test.each([
    'Hello',
    'a < b && b > c',
    '&amp; is how one writes &',
    '&lt;b&gt; &amp;amp; &#38;',
    'See example.com',
    'See https://example.com/a?b=c&d=<e>',
    'example.com, https://example.org/x_(y) and (http://example.net/z).',
    'https://t.co/abc123 is a link too',
    'not.a-link 3.14 e.g. me@example.com',
    '（https://example.com/1 です）',
    '会議 example.com 会議',
    'https://example.com/だよね',
    'http://example.comだよね',
    'Ünïcode.com/ß',
    'Zoë',
    'Zoe\u0308',
    '  two  spaces\n\n\nand lines \t',
    '❤️‍🔥 👨‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    'EXAMPLE.COM/Path Https://Example.Org',
  ])('%j', (text) => {
    const shown = shownAs(text)
    expect(isSameText(text, shown)).toBe(true)
    expect(isSameText(text, withoutLinks(shown))).toBe(true)
    // X normalises Unicode, and trims white space.
    expect(isSameText(text, { ...shown, text: shown.text.normalize('NFC').trim() })).toBe(true)
    expect(isSameText(text.normalize('NFD'), shown)).toBe(true)
  })

  test('when X normalises the URL', () => {
    const shown = (expandedUrl: string) => ({ text: 'See https://t.co/abc', expandedUrls: [expandedUrl] })
    expect(isSameText('See Example.COM', shown('http://example.com'))).toBe(true)
    expect(isSameText('See Example.COM', shown('http://example.com/'))).toBe(true)
    expect(isSameText('See HTTPS://Example.com/A', shown('https://example.com/A'))).toBe(true)
    expect(isSameText('See https://example.com/A', shown('https://example.com/a'))).toBe(false)
  })
})

describe('a text is not mistaken for another', () => {
  test.each<[sent: string, other: string]>([
    ['Hello', 'Hello!'],
    ['Hello', 'hello'],
    ['Release 1: https://example.com/1', 'Release 1: https://example.com/2'],
    ['Release: https://example.com/1', 'Release: https://example.com/10'],
    ['example.com example.org', 'example.org example.com'],
    ['Read example.com', 'Read example.com example.com'],
    ['Read https://example.com', 'Read'],
    ['a & b', 'a &amp; b'],
    ['<b>', '&lt;b&gt;'],
    ['#1', '#11'],
  ])('%j and %j', (sent, other) => {
    expect(isSameText(sent, shownAs(other))).toBe(false)
    expect(isSameText(other, shownAs(sent))).toBe(false)
  })

  test('without the links from X, by the rest of the text', () => {
    expect(isSameText('Release: https://example.com/1', withoutLinks(shownAs('Release: https://example.com/2')))).toBe(
      true,
    )
    expect(isSameText('Release: https://example.com/1', withoutLinks(shownAs('Other: https://example.com/1')))).toBe(
      false,
    )
  })
})

describe('of all texts made of words, links, punctuation and spaces', () => {
  const word = fc.constantFrom(
    'Hello',
    'ǆungla',
    'Zoe\u0308',
    'é',
    '&',
    '&amp;',
    '<3',
    '>',
    '"',
    '👍🏽',
    '会議',
    '1.5',
    '#tag',
  )
  const path = fc.stringMatching(/^[a-z0-9]{1,8}(\/[A-Za-z0-9-]{1,8})?(\?[a-z]=[a-z0-9]{1,4}(&[a-z]=[a-z0-9]{1,4})?)?$/)
  const connect = fc
    .tuple(
      fc.constantFrom('', 'http://', 'https://'),
      fc.constantFrom('example.com', 'x.org', 'sub.example.co.uk'),
      path,
    )
    .map(([scheme, host, path]) => `${scheme}${host}/${path}`)
  const space = fc.constantFrom(' ', '  ', '\n', '\n\n', ' \t ', '\u00a0')
  const textOf = (part: fc.Arbitrary<string>) =>
    fc.array(fc.tuple(part, space), { minLength: 1, maxLength: 12 }).map((parts) => parts.flat().join(''))
  const text = textOf(fc.oneof({ arbitrary: word, weight: 3 }, connect))

  test('each is found again in every Unicode normalization form', () => {
    fc.assert(
      fc.property(text, fc.constantFrom('NFC', 'NFD'), fc.constantFrom('NFC', 'NFD'), (text, ours, theirs) => {
        const shown = shownAs(text.normalize(ours))
        expect(isSameText(text, { ...shown, text: shown.text.normalize(theirs) })).toBe(true)
        expect(isSameText(text, withoutLinks(shown))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('two are distinguished unless they differ in white space and normalization alone', () => {
    const bare = (text: string) => text.normalize('NFC').replaceAll(/\s+/g, ' ').trim()
    // Few words, so that equal texts occur.
    const short = fc.array(fc.constantFrom('a', 'b', '&', 'x.org/1', 'x.org/2'), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(short, short, space, space, (left, right, between, beside) => {
        const [one, other] = [left.join(between), right.join(beside)]
        expect(isSameText(one, shownAs(other))).toBe(bare(one) === bare(other))
      }),
      { numRuns: 2_000 },
    )
  })
})

test('any text is found again, whatever X turns into links', () => {
  const anything = fc.string({ unit: 'grapheme', maxLength: 40 })
  const nearUrl = fc.stringMatching(
    /^[a-zé会./:?&<>()_ -]{0,12}(example\.com|x\.会社|t\.co\/a1)[a-zé会./:?&<>()_ -]{0,12}$/,
  )
  fc.assert(
    fc.property(
      fc.oneof(
        anything,
        nearUrl,
        fc.tuple(nearUrl, anything, nearUrl).map((all) => all.join('')),
      ),
      (text) => {
        const shown = shownAs(text)
        expect(isSameText(text, shown)).toBe(true)
        expect(isSameText(text, withoutLinks(shown))).toBe(true)
      },
    ),
    { numRuns: 5_000 },
  )
})

test('a hostile text is compared in time', () => {
  const shown = `${Array.from({ length: 200 }, (_, i) => `https://t.co/${i}`).join('!')} END`
  const startedAt = performance.now()
  for (const sent of [`${'!'.repeat(24_000)} end`, `${'a!'.repeat(12_000)} end`]) {
    expect(isSameText(sent, { text: shown, expandedUrls: [] })).toBe(false)
    expect(isSameText(sent, { text: shown, expandedUrls: Array(200).fill(`http://a.com/${'!'.repeat(4_000)}`) })).toBe(
      false,
    )
  }
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})
