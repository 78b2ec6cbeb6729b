import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

test('xconnect keys rotate says which keys are no longer needed, as long as they are configured', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('keys-command'))
  const [k1, k2] = ['k1', 'k2'].map((id) => `${id}:${randomBytes(32).toString('base64')}`)
  const rotate = async (keys: string) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['src/cli.ts', 'keys', 'rotate'], {
      cwd: path.join(import.meta.dirname, '../..'),
      env: { ...database.environment, DATA_DIR: directory.path, ENCRYPTION_KEYS: keys },
    })
    return stdout
  }
  expect(await rotate(`${k1}`)).not.toContain('No longer needed')
  for (let run = 0; run < 2; run++)
    expect(await rotate(`${k2},${k1}`)).toContain('No longer needed; remove from the configuration: "k1".')
  expect(await rotate(`${k2}`)).not.toContain('No longer needed')
})
