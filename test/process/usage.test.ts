// What xconnect says of words, before it opens anything: a gateway may have the embedded database to itself meanwhile.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

type Ran = { code: number; stdout: string; stderr: string }

/** Runs it where nothing is made yet, and makes sure that nothing is made: no directory, no key, no database. */
async function xconnect(words: string[]): Promise<Ran> {
  await using directory = await makeTemporaryDirectory('usage')
  const dataDir = path.join(directory.path, 'data')
  const ran = await promisify(execFile)(process.execPath, ['src/cli.ts', ...words], {
    cwd: path.join(import.meta.dirname, '../..'),
    env: { DATA_DIR: dataDir },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: Ran) => ({ code, stdout, stderr }),
  )
  expect(existsSync(dataDir)).toBe(false)
  return ran
}

test.each<[string[], RegExp]>([
  [[], /^xconnect: commands for whoever/],
  [['-h'], /^xconnect: commands for whoever/],
  [['doctor', '--help'], /^Use:\n\n {2}xconnect doctor .*\n$/],
  [['migrate', '-h'], /^Use:\n\n {2}xconnect migrate .*\n$/],
  [['keys', 'rotate', '--help'], /^Use:\n\n {2}xconnect keys generate .*\n {2}xconnect keys rotate .*\n$/],
  [['token', '--help'], /^Use:\n\n {2}xconnect token create /],
  [['token', 'create', '--name', '-h'], /^Use:\n\n {2}xconnect token create /],
  [['database', 'copy', '--help'], /^Use:\n\n {2}xconnect database copy TARGET\n/],
])('shows the usage for %j, and opens nothing', async (words, usage) => {
  expect(await xconnect(words)).toEqual({ code: 0, stdout: expect.stringMatching(usage), stderr: '' })
})

test.each<[string[], RegExp]>([
  [['tokens', '--help'], /^There is no command "tokens"\.\n\nxconnect: commands for whoever/],
  [['doctor', 'now'], /^Use:\n\n {2}xconnect doctor /],
  [['keys'], /^Use:\n\n {2}xconnect keys generate /],
  [['token', 'bogus'], /^Use:\n\n {2}xconnect token create /],
  [
    ['webhook', 'create', '--url', 'https://example.com/', '--types', 'x'],
    /^There is no event x\. There are: .* Use:\n/,
  ],
  [['database', 'copy'], /^The target is missing\. Use:\n\n {2}xconnect database copy TARGET\n/],
  [['database', 'copy', 'mysql://me:hush@127.0.0.1/x'], /^The target is of no known kind: (?!.*hush)/],
  [['database', 'copy', '--force'], /^The target is of no known kind: /],
])('ends with 2 for %j, says what there is, and opens nothing', async (words, said) => {
  expect(await xconnect(words)).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(said) })
})
