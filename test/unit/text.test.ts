/**
 * The first two tables are X's own conformance vectors (twitter-text, conformance/validate.yml and
 * extract.yml; Copyright Twitter, Inc. and other contributors, Apache-2.0), rearranged: theirs name
 * the URLs found, these test what the URLs do to the count. twitter-text 3.1.0, given today's emoji
 * and top-level domains, agreed with every count in this file, and on four million random texts,
 * when it was written.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tlds } from '../../src/tweets/text/data.ts'
import {
  checkTweetText,
  MAX_PREMIUM_WEIGHTED_LENGTH,
  MAX_WEIGHTED_LENGTH,
  weightedLength,
} from '../../src/tweets/text/length.ts'

const family = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}'
const longHost = 'somesuperlongurl'.repeat(249)
const tenKana = 'あいうえおかきくけこ'
const punctuation =
  '\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b ‐ ‑ ‒ – — ― ‖  ‗ ‘ ’ ‚ ‛ “ ” „ ‟ ′ ″ ‴ ‵ ‶ ‷'

describe("X's counting vectors", () => {
  it.each<[expected: number, text: string]>([
    [26, 'Hi http://test.co'],
    [23, 'http://test.co'],
    [285, `285 chars-${'xxxxxxxxxx-'.repeat(25)}`],
    [299, `285 chars- http://www.twitter.com/jack ${'xxxxxxxxxx-'.repeat(24)}`],
    [240, 'https://www.twitter.com/aloha '.repeat(10)],
    [320, '故人西辞黄鹤楼，烟花三月下扬州。'.repeat(10)],
    [320, '😷'.repeat(160)],
    [323, `the${'故人西辞黄鹤楼，烟花三月下扬州。'.repeat(10)}`],
    [2, 'A\u0301B'],
    [4, 'A\ufb2c'],
    [281, `282 chars-${'xxxxxxxxxx-'.repeat(24)}xxxxxA\u0301x`],
    [7, `H🐱☺${family}`],
    [10, '😷👾😡🔥💩'],
    [4, '🙋🏽👨\u200d🎤'],
    [110, `This is a tweet with general punctuation characters: ${punctuation}`],
    [
      12_079,
      `Long url with invalid domain labels and a short url: ${`https://${longHost}.com/foo `.repeat(3)}https://validurl.com`,
    ],
    [68, 'randomurlrandomurlrandomurlrandomurlrandomurlrandomurlrandomurls.com'],
    [358, `${tenKana.repeat(12)} http://${tenKana.repeat(5)}あいう.com`],
    [264, `${tenKana.repeat(12)} http://${tenKana.repeat(5)}あい.com`],
    [280, family.repeat(140)],
    [34, 'Unicode 10.0 emoji: 🤪; 🧕; 🧕🏾; 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}'],
    [29, 'Unicode 9.0 emoji: 🤠; 💃; 💃🏾'],
    [12, 'ABC\u202a\uffffABC\ufffe'],
    [31, '\u2066\u202ahttp://foobar.پاکستان/\u202c\u2069'],
    [86, 'Test https://test.com test https://test.com test.com test'],
  ])('counts %i: %s', (expected, text) => expect(weightedLength(text)).toBe(expected))
})

describe("X's URL vectors: counts 23 for each URL in 〈〉 and the rest by character", () => {
  it.each([
    'text 〈http://google.com/#search?q=iphone%20-filter%3Alinks〉',
    'text 〈http://www.boingboing.net/2007/02/14/katamari_damacy_phon.html〉',
    'text 〈http://somehost.com:3000〉',
    'text 〈http://xo.com/~matthew+%ff-,.;x〉',
    'text 〈http://en.wikipedia.org/wiki/Primer_(film)〉',
    'text 〈http://✪df.ws/ejp〉',
    'test 〈http://example.com〉だよね.comtest/hogehoge',
    'text 〈http://chilp.it/?77e8fd〉',
    'text 〈http://msdn.microsoft.com/ja-jp/library/system.net.httpwebrequest(v=VS.100).aspx〉',
    'text http://no-tld http://tld-too-short.x',
    '(〈http://twitter.com〉',
    'text 〈http://foo.com?#foo〉 text',
    'foo.baz 〈foo.co.jp〉 www.xxxxxxx.baz 〈www.foo.co.uk〉 wwwww.xxxxxxx foo.comm foo.somecom foo.govedu 〈foo.jp〉',
    'Go to 〈http://example.com/a+〉 or 〈http://example.com/a-〉',
    'Go to 〈https://en.m.wikipedia.org/wiki/Hatfield–McCoy_feud〉 please',
    '@user Try http:// 〈example.com/path〉',
    'これは日本語です。〈example.com/path/index.html〉中国語〈example.com/path〉한국',
    '〈http://twitter.com/〉これは日本語です。〈example.com〉中国語〈http://t.co/abcde〉한국〈twitter.com〉テスト〈http://twitter.com/abcde〉',
    'Go to 〈http://twitter.com/Русские_слова〉',
    '〈twitter.jp〉日本語〈it.so〉中国語〈foo.jp〉 〈it.so〉 〈foo.jp〉',
    'Hello http://xn--はじめよう.com/index.html',
    'text http://domain-dash_2314352345_dfasd.foo-cow_4352.com',
    'test 〈http://sub_domain-dash.twitter.com〉 〈http://a_b.c-d.com〉',
    'test http://-leadingdash.twitter.com http://trailingdash.twitter-.com http://_leadingunderscore.twitter.com',
    'test http://twitter_underscore.com http://twitter.c_o_m',
    'test 〈http://www.foo.com/bar-path/some.stm?param1=foo;param2=P1|0||P2|0〉',
    'test 〈ELPAÍS.com〉',
    'test 〈http://twitter.com/〉.',
    'Test a ton of periods 〈http://example.com/path〉..........................................',
    '#test.com @test.com #http://test.com @http://test.com #t.co/abcde @t.co/abcde',
    "I really like 〈http://t.co/pbY2NfTZ〉's website",
    '〈http://t.co/8MkmHU0k〉+c 〈http://t.co/TKLp64dY〉.x 〈http://t.co/8t7G3ddS〉#a 〈http://t.co/FNkPfmii〉-',
    'I really like 〈http://t.co/abcdefghijklmnopqrstuvwxyz0123456789〉',
    'I really like http://t.co/abcdefghijklmnopqrstuvwxyz012345678901234',
    '〈https://t.co/UqIyJAJTfo?amp=1〉 〈https://t.co/asdfdf?a=b#123〉',
    '〈http://www.foo.com?referer=https://t.co/abcde〉 〈http://t.co/xyzzy〉',
    '〈example.com〉てすとです〈twitter.みんな〉です',
    '$http://twitter.com $twitter.com $http://t.co/abcde $t.co/abcde $t.co $TVI.CA $RBS.CA',
    'long.test.tar.bz2 test.tar.bz2 tar.bz2 john.doe.gov@mail.com john.doe.jp@mail.com',
    'test 〈http://xn--ls8h.XN--ls8h.la/〉',
    'test 〈http://foobar.みんな/〉 〈http://foobar.中国/〉 〈http://foobar.پاکستان/〉 ',
    '\u2066\u202atest 〈abcdef.com〉 پاکستان 〈http://twitter.com/〉\u202c\u2069',
  ])('%s', expectCount)
})

describe('URLs beyond the vectors, as twitter-text 3.1.0 counts them', () => {
  it.each([
    '〈example.com〉?q=1 〈example.com/?q=1〉',
    '〈example.com〉:8080 〈example.com:8080/x〉 〈http://example.com:8080〉',
    '〈http://example.com/a(b)(c)〉,(d) 〈http://example.com/〉*(a)',
    '〈http://example.com/a(b(c)d)e〉 〈http://example.com/a〉(b(c(d)))',
    '"〈a.com〉" `〈a.com〉` ＠〈a.com〉 〈a.com〉_b',
    'a.com-b a.com+ -a.com .a.com a..com \ufeffa.com',
    '〈x.foo〉_bar.com /foo_bar.x.com',
    '〈http://日本.com〉 日本.com 日本.みんな 〈HTTP://A.COM/〉 hhttp://a.com http://1.2.3.4/x',
    'é〈bc.com〉 /ébc.com a。.com',
    `https://a.${'b'.repeat(64)}.com 〈https://a.${'b'.repeat(63)}.com〉`,
    `〈http://a.co/${'x'.repeat(4077)}〉 http://a.co/${'x'.repeat(4078)}`,
    `〈a.co/${'x'.repeat(4083)}〉 a.co/${'x'.repeat(4084)}`,
  ])('%s', expectCount)

  it('knows every top-level domain of the root zone, with and without a protocol, in upper and lower case', () => {
    expect(tlds.length).toBeGreaterThan(1500)
    for (const tld of tlds) {
      expect(weightedLength(`https://example.${tld}`), tld).toBe(23)
      expect(weightedLength(`example.${tld}/path`), tld).toBe(23)
      expect(weightedLength(`EXAMPLE.${tld.toUpperCase()}`), tld).toBe(23)
    }
    expect(weightedLength('example.notatld')).toBe(15)
  })

  it.each(['kids', 'music', 'amazon', 'アマゾン', 'ישראל'])('knows .%s, which is younger than twitter-text', (tld) =>
    expect(weightedLength(`example.${tld}`)).toBe(23),
  )
})

describe('emoji', () => {
  it.each([
    ...['©️', '❤', '❤️', '1️⃣', '#️⃣', '🇺🇦', '👍🏿', family, '👩🏽\u200d❤️\u200d💋\u200d👨🏻', '🏳️\u200d🌈'],
    // Unicode 13.1, 15.0, 15.1, 16.0 and 17.0: twitter-text 3.1.0 counts the sequences among them 5
    // to 8.
    ...['❤️\u200d🔥', '😶\u200d🌫️', '🫨', '🙂\u200d↔️', '🐦\u200d🔥', '🧑\u200d🧑\u200d🧒', '🫩', '🇨🇶', '🫪', '\u{1f6d8}'],
  ])('counts %s 2', (emoji) => {
    expect(weightedLength(emoji)).toBe(2)
    expect(weightedLength(`a${emoji}${emoji} b`)).toBe(7)
  })

  it('counts an emoji next to a link', () => expectCount('❤️〈example.com〉❤️〈https://a.co/x〉❤️'))
})

describe('checkTweetText', () => {
  it('accepts a post of exactly the limit', () => {
    expect(checkTweetText('x'.repeat(MAX_WEIGHTED_LENGTH))).toBeNull()
    expect(checkTweetText('語'.repeat(12_500), MAX_PREMIUM_WEIGHTED_LENGTH)).toBeNull()
  })

  it('returns the length and the limit for a text that is too long', () => {
    const tooLong = { code: 'TOO_LONG', weightedLength: 282, maxWeightedLength: 280 }
    expect(checkTweetText('語'.repeat(141))).toEqual(tooLong)
    expect(checkTweetText('x'.repeat(25_001), MAX_PREMIUM_WEIGHTED_LENGTH)?.code).toBe('TOO_LONG')
  })

  it.each(['', ' ', '\n\t \u3000\u00a0'])('refuses %j as empty', (text) =>
    expect(checkTweetText(text)).toEqual({ code: 'EMPTY' }),
  )

  it.each([
    ['\ufffe', 'U+FFFE'],
    ['\ufeff', 'U+FEFF'],
    ['\uffff', 'U+FFFF'],
    ['\ud83d', 'U+D83D'],
    ['\ude00', 'U+DE00'],
    ['\0', 'U+0000'],
  ])('refuses %j and returns its position', (character, name) => {
    expect(checkTweetText(`😷b${character}c`)).toEqual({ code: 'INVALID_CHARACTERS', index: 3, character: name })
    expect(checkTweetText(character)?.code).toBe('INVALID_CHARACTERS')
  })

  it('accepts every other control, format and private character, as X does', () =>
    expect(checkTweetText('\u0001\u007f\u200b\u202e\u2066\ue000\u{10ffff}\ufffd')).toBeNull())
})

describe('any text', () => {
  const anyUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units))
  const anyText = fc.oneof(anyUnits, fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
  const word = fc.stringMatching(/^[a-z0-9,!'-]{1,30}$/)

  it('is counted without an error, within bounds, and equally in every normalization form', () => {
    const property = fc.property(anyText, (text) => {
      const length = weightedLength(text)
      expect(length).toBeGreaterThanOrEqual(0)
      // The shortest link has four characters, and NFC may expand one unit to three.
      expect(length).toBeLessThanOrEqual(3 * 23 * text.length)
      expect(weightedLength(text.normalize('NFC'))).toBe(length)
      expect(weightedLength(text.normalize('NFD'))).toBe(length)
      checkTweetText(text)
    })
    fc.assert(property, { numRuns: 1000 })
  })

  it('has the sum of the counts of its words, spaces and links', () => {
    const property = fc.property(fc.array(word, { minLength: 1 }), fc.nat(9), (words, connections) => {
      const text = words.join(' ')
      expect(weightedLength(text)).toBe(text.length)
      expect(weightedLength(`${text}${' https://example.com/a'.repeat(connections)}`)).toBe(
        text.length + 24 * connections,
      )
    })
    fc.assert(property)
  })
})

// twitter-text takes twenty seconds for "a." and two minutes for "日."; ICU takes half a minute to
// sort the marks.
describe('a hostile text of 100,000 characters is counted in time', () => {
  it.each([
    ...[
      '.',
      '-',
      '_',
      '/',
      '(',
      '()',
      'a.',
      'a-',
      'a_.',
      '日',
      '日.',
      '。.',
      'é.',
      'a.co/(',
      'a.co/((a',
      'a.co?!',
      'a.co/,',
    ],
    ...[
      'http://',
      'http://a_.',
      'https://t.co/a',
      'xn--',
      'xn--a.',
      'com.',
      'co.日.',
      '\ud83d',
      '👨\u200d',
      '👨',
      '1\u20e3',
    ],
    ...['e\u0301', '\u0301', '\u0344', '\u0301\u0316', `a${'\u0301'.repeat(127)}`, '\u1100\u1161', '\u{e0067}'],
  ])('%j repeated', (piece) => {
    const text = piece.repeat(Math.ceil(100_000 / piece.length))
    expect(weightedLength(text)).toBeGreaterThan(0)
    expect(weightedLength(`${text}.com`)).toBeGreaterThan(0)
  })

  it('combining marks that have to be reordered', () =>
    expect(weightedLength(`a${'\u0301'.repeat(100_000)}${'\u0316'.repeat(100_000)}`)).toBe(200_000))

  it('one open parenthesis, one long label, one run of punctuation', () => {
    expectCount(`〈a.co/〉(${'a'.repeat(100_000)}`)
    expectCount(`${'a'.repeat(100_000)}.com`)
    expectCount(`〈a.co/〉${','.repeat(100_000)}`)
  })
})

function expectCount(marked: string): void {
  const plain = marked.replace(/〈.*?〉/g, '')
  const connections = marked.match(/〈.*?〉/g)?.length ?? 0
  expect(weightedLength(marked.replace(/[〈〉]/g, ''))).toBe(lengthWithoutLinks(plain) + connections * 23)
}

/** Counts characters only; ❤️ is the only emoji in the tables that use it. */
function lengthWithoutLinks(text: string): number {
  const characters = Array.from(text.normalize().replaceAll('❤️', '❤'))
  return characters.reduce(
    (sum, character) => sum + (/[\0-\u10ff\u2000-\u200d\u2010-\u201f]/.test(character) ? 1 : 2),
    0,
  )
}
