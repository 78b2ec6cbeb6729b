// The findings of xconnect doctor, which changes nothing.
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { encryptionCanaries } from '../../src/db/tables.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { xconnect } from '../support/xconnect.ts'

const newKey = (id: string) => `${id}:${randomBytes(32).toString('base64')}`

async function run(environment: Record<string, string>, ...words: string[]) {
  const { code, stdout } = await xconnect(environment, ...words)
  return { code, lines: stdout.trimEnd().split('\n') }
}

test('checks the keys against those of the database, names a missing one, and writes no canary', async () => {
  const database = await createTestDatabase('postgres')
  onTestFinished(() => database.remove())
  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  onTestFinished(() => opened.close())
  const [k1, k2] = [newKey('k1'), newKey('k2')]
  const doctor = (keys: string) => run({ ...database.environment, ENCRYPTION_KEYS: keys }, 'doctor')

  const fresh = await doctor(k1)
  expect(fresh).toMatchObject({ code: 0, lines: expect.arrayContaining([expect.stringMatching(/^ok +Database: /)]) })
  expect(await opened.db.$count(encryptionCanaries)).toBe(0)
  expect((await run({ ...database.environment, ENCRYPTION_KEYS: k1 }, 'keys', 'rotate')).code).toBe(0)
  expect(await doctor(`${k2},${k1}`)).toMatchObject({
    code: 0,
    lines: expect.arrayContaining([
      expect.stringMatching(
        /^ok +Encryption keys: ENCRYPTION_KEYS: 2 .*"k2" encrypts, for decryption alone: "k1"; stored values use "k1"$/,
      ),
    ]),
  })
  expect(await doctor(k2)).toMatchObject({
    code: 1,
    lines: expect.arrayContaining([
      expect.stringMatching(/^FAIL +Encryption keys: .*encryption key "k1".* DATA_DIR\/encryption-keys\.$/),
    ]),
  })
  expect(await opened.db.select({ keyId: encryptionCanaries.keyId }).from(encryptionCanaries)).toEqual([
    { keyId: 'k1' },
  ])
})

test('on an empty database names the command to run, and says that the keys are not checked yet', async () => {
  await using directory = await makeTemporaryDirectory('doctor')
  const { code, lines } = await run({ DATA_DIR: path.join(directory.path, 'data') }, 'doctor')
  expect(code).toBe(1)
  expect(lines.slice(1)).toEqual([
    'ok           Sign-in: everybody with a GitHub account',
    expect.stringMatching(/^ok +Database: embedded PGlite responds$/),
    expect.stringMatching(/^FAIL +Tables: \d+ migrations are pending: run xconnect migrate, /),
    expect.stringMatching(/^not checked +Encryption keys: create the tables first: run xconnect migrate, /),
    expect.stringMatching(/^ok +Providers: /),
  ])
})

test('reports once that the database is down, and what to do', async () => {
  await using directory = await makeTemporaryDirectory('doctor')
  const address = `127.0.0.1:${await findFreePort()}`
  const DATABASE_URL = `postgres://me:hush@${address}/x`
  const { code, lines } = await run({ DATA_DIR: directory.path, DATABASE_URL }, 'doctor')
  expect(code).toBe(1)
  expect(lines.slice(1)).toEqual([
    'ok           Sign-in: everybody with a GitHub account',
    expect.stringMatching(
      new RegExp(`^FAIL +Database: PostgreSQL at ${address} cannot be used: .*ECONNREFUSED.* Check the URL, and that `),
    ),
    expect.stringMatching(/^not checked +Tables: /),
    expect.stringMatching(/^not checked +Encryption keys: /),
    expect.stringMatching(/^ok +Providers: /),
  ])
  expect(lines.join()).not.toContain('hush')
})
