// Wrong arguments of xconnect end before anything is opened: a gateway may be using the embedded
// database.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { type CommandResult, xconnect } from '../support/xconnect.ts'

/**
 * Runs it in an empty directory, and checks that it creates no directory, key or database.
 */
async function run(words: string[]): Promise<CommandResult> {
  await using directory = await makeTemporaryDirectory('usage')
  const dataDir = path.join(directory.path, 'data')
  const ran = await xconnect({ DATA_DIR: dataDir }, ...words)
  expect(existsSync(dataDir)).toBe(false)
  return ran
}

test.each<[string[], RegExp]>([
  [[], /^xconnect: commands for the operator/],
  [['-h'], /^xconnect: commands for the operator/],
  [['doctor', '--help'], /^Usage:\n\n {2}xconnect doctor .*\n$/],
  [['migrate', '-h'], /^Usage:\n\n {2}xconnect migrate .*\n$/],
  [['keys', 'rotate', '--help'], /^Usage:\n\n {2}xconnect keys generate .*\n {2}xconnect keys rotate .*\n$/],
  [['token', '--help'], /^Usage:\n\n {2}xconnect token create /],
  [['token', 'create', '--name', '-h'], /^Usage:\n\n {2}xconnect token create /],
  [['database', 'copy', '--help'], /^Usage:\n\n {2}xconnect database copy TARGET\n/],
  [['version', '--help'], /^Usage:\n\n {2}xconnect version .*\n$/],
])('shows the usage for %j, and opens nothing', async (words, usage) => {
  expect(await run(words)).toEqual({ code: 0, stdout: expect.stringMatching(usage), stderr: '' })
})

test.each([['version'], ['--version']])(
  'prints the version of package.json for %j, and opens nothing',
  async (word) => {
    expect(await run([word])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' })
  },
)

test.each<[string[], RegExp]>([
  [['tokens', '--help'], /^There is no command "tokens"\.\n\nxconnect: commands for the operator/],
  [['version', 'now'], /^This command takes no arguments\. Usage:\n\n {2}xconnect version /],
  [['doctor', 'now'], /^This command takes no arguments\. Usage:\n\n {2}xconnect doctor /],
  [['keys'], /^Usage:\n\n {2}xconnect keys generate /],
  [['token', 'bogus'], /^Usage:\n\n {2}xconnect token create /],
  [
    ['webhook', 'create', '--url', 'https://example.com/', '--types', 'x'],
    /^Unknown event type: x\. The event types are .* Usage:\n/,
  ],
  [['database', 'copy'], /^The target is missing\. Usage:\n\n {2}xconnect database copy TARGET\n/],
  [['database', 'copy', 'mysql://me:hush@127.0.0.1/x'], /^The target is neither an address (?!.*hush)/],
  [['database', 'copy', '--force'], /^The target is neither an address /],
])('exits with 2 for %j, names the alternatives, and opens nothing', async (words, said) => {
  expect(await run(words)).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(said) })
})

test('two keys of one day have two ids, and both can be configured together', async () => {
  const keys = await Promise.all([run(['keys', 'generate']), run(['keys', 'generate'])])
  const [first = '', second = ''] = keys.map(({ stdout }) => stdout.trim())
  expect(first.split(':')[0]).not.toBe(second.split(':')[0])
  for (const key of [first, second]) expect(key).toMatch(/^k\d{8}-[0-9a-f]{4}:[A-Za-z0-9+/]{43}=$/)
})
