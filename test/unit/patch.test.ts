import { describe, expect, test } from 'vitest'
import { applyPatch, parsePatch } from '../../src/db/patch.ts'

const source = ['one', 'two', '', 'four', 'five', 'six', 'seven', ''].join('\n')
const patch = parsePatch(
  [
    'Subject: Text before the diff',
    '',
    '--- a/src/numbers.js',
    '+++ b/src/numbers.js',
    '@@ -1,4 +1,5 @@ function count() {',
    ' one',
    '+one and a half',
    ' two',
    ' ',
    ' four',
    '@@ -5,3 +6,2 @@',
    '-five',
    '-six',
    '+five or six',
    ' seven',
    '',
  ].join('\n'),
)

describe('a patch', () => {
  test('is applied hunk by hunk to the named file', () => {
    const patched = ['one', 'one and a half', 'two', '', 'four', 'five or six', 'seven', ''].join('\n')
    expect(applyPatch(source, 'src/numbers.js', patch)).toBe(patched)
    expect(applyPatch(source, 'src/other.js', patch)).toBe(source)
  })

  test.each([
    ['a line differs', source.replace('six', 'sixteen')],
    ['a line was added above', `zero\n${source}`],
    ['the file is shorter', 'one\ntwo\n'],
  ])('is refused when %s', (_what, other) => {
    expect(() => applyPatch(other, 'src/numbers.js', patch)).toThrow(/does not fit/)
  })
})
