// What the gateway keeps in DATA_DIR is for its own user alone.
import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openPglite } from '../../src/db/client.ts'
import { lockDirectory } from '../../src/db/pglite-directory.ts'
import { StartupError } from '../../src/process/startup-error.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const modeOf = (place: string) => statSync(place).mode & 0o777

test.each([0o755, 0o750, 0o777, 0o700])(
  'E-11 an embedded database with the mode %o is closed to others',
  async (mode) => {
    await using directory = await makeTemporaryDirectory('data')
    const database = join(directory.path, 'pglite')
    mkdirSync(database)
    chmodSync(database, mode)
    chmodSync(directory.path, 0o755)
    const release = lockDirectory(database)
    try {
      expect([modeOf(database), modeOf(`${database}.lock`)]).toEqual([0o700, 0o600])
      // It may hold more than what the gateway has put there.
      expect(modeOf(directory.path)).toBe(0o755)
    } finally {
      release()
    }
  },
)

test('E-11 a new embedded database is closed to others', async () => {
  await using directory = await makeTemporaryDirectory('data')
  const path = join(directory.path, 'pglite')
  const database = await openPglite(path)
  await database.close()
  expect(modeOf(path)).toBe(0o700)
})

// In /proc no permissions can be changed, not even by root.
test.runIf(process.platform === 'linux')('E-11 one that cannot be closed is refused with what to do', () => {
  expect(() => lockDirectory('/proc/self/task')).toThrow(StartupError)
  expect(() => lockDirectory('/proc/self/task')).toThrow('chmod 700')
})
