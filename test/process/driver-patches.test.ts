// The patches of the database driver are applied when it is loaded. A driver without them must stop
// the start.
import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { COMMIT_ROLLED_BACK, COMMIT_ROLLED_BACK_SENTENCE } from '../../src/db/commit.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = path.join(import.meta.dirname, '../..')

test('a gateway does not start when something else has loaded the driver before its patches', async () => {
  await using directory = await makeTemporaryDirectory('driver-patches')
  const gateway = startGatewayProcess({
    DATA_DIR: directory.path,
    PORT: '0',
    SANDBOX_PORT: '0',
    NODE_OPTIONS: '--import postgres',
  })
  onTestFinished(async () => void (await gateway.kill()))
  expect(await gateway.ended).toBe(78)
  expect(gateway.output()).toMatch(/^The database driver was loaded before its patches: [^\n]*\.\n$/)
})

test.each<[string, string, (text: string) => string, RegExp]>([
  [
    'another release of it',
    'package.json',
    (text) => text.replace('"3.4.9"', '"3.4.10"'),
    /version 3\.4\.10 is installed/,
  ],
  [
    'another text under the same version',
    'src/connection.js',
    (text) => text.replace('clearImmediate(nextWriteTimer)', 'clearTimeout(nextWriteTimer)'),
    /the hunk for line \d+ of src\/connection\.js does not fit/,
  ],
])('the driver is not loaded when %s is installed', async (_what, file, change, reason) => {
  await using directory = await makeTemporaryDirectory('driver-patches')
  await mkdir(path.join(directory.path, 'node_modules'))
  const driver = path.join(directory.path, 'node_modules/postgres')
  await cp(path.join(root, 'node_modules/postgres'), driver, { recursive: true })
  await symlink(path.join(root, 'src'), path.join(directory.path, 'src'))
  const script =
    "import('./src/db/postgres.ts').then(() => console.log('loaded'), ({ message }) => console.log(message))"
  const load = async () => {
    const args = ['--preserve-symlinks', '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: directory.path })
    return stdout
  }
  // Where the driver is the right one, only Drizzle is missing here.
  expect(await load()).toContain("Cannot find package 'drizzle-orm'")
  const changed = path.join(driver, file)
  await writeFile(changed, change(await readFile(changed, 'utf8')))
  const output = await load()
  expect(output).toMatch(/^The database driver cannot be patched: src\/db\/patches is for postgres 3\.4\.9/)
  expect(output).toMatch(reason)
})

test('the patch for COMMIT reports the code and the sentence that PGlite reports', async () => {
  const patch = await readFile(path.join(root, 'src/db/patches/4-commit-tag.patch'), 'utf8')
  expect(patch).toContain(`Errors.generic('${COMMIT_ROLLED_BACK}', '${COMMIT_ROLLED_BACK_SENTENCE}')`)
})
