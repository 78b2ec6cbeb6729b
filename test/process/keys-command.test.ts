import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { xconnect } from '../support/xconnect.ts'

test('xconnect keys rotate names the keys that are no longer needed, while they are configured', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('keys-command'))
  const [k1, k2] = ['k1', 'k2'].map((id) => `${id}:${randomBytes(32).toString('base64')}`)
  const rotate = async (keys: string) => {
    const variables = { ...database.environment, DATA_DIR: directory.path, ENCRYPTION_KEYS: keys }
    const { code, stdout } = await xconnect(variables, 'keys', 'rotate')
    expect(code).toBe(0)
    return stdout
  }
  expect(await rotate(`${k1}`)).not.toContain('No longer needed')
  for (let run = 0; run < 2; run++)
    expect(await rotate(`${k2},${k1}`)).toContain('No longer needed; remove from the configuration: "k1".')
  expect(await rotate(`${k2}`)).not.toContain('No longer needed')
})
