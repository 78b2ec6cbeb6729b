import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { webhookEndpoints } from '../../src/db/tables.ts'
import { createTestDatabase } from '../support/database.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

type Ran = { code: number; stdout: string; stderr: string }

test('xconnect webhook makes, lists, rotates, disables, enables and deletes the operator’s endpoints', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('webhook-command'))
  const environment = {
    ...database.environment,
    DATA_DIR: directory.path,
    WEBHOOK_EGRESS: 'loopback',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  }
  const xconnect = (...words: string[]): Promise<Ran> =>
    promisify(execFile)(process.execPath, ['src/cli.ts', 'webhook', ...words], {
      cwd: path.join(import.meta.dirname, '../..'),
      env: environment,
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }: Ran) => ({ code, stdout, stderr }),
    )
  const url = 'http://127.0.0.1:4000/hook'

  expect(await xconnect('list')).toEqual({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/^There are no endpoints/),
  })
  const made = await xconnect('create', '--url', url, '--types', 'account.connected,account.needs_reauth')
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=\n$/) })
  const listed = await xconnect('list')
  expect(listed.stdout).toMatch(/^[0-9a-f-]{36} {2}ENABLED {2}ok {2}account.connected,account.needs_reauth {2}http/)
  expect(listed.stdout).not.toContain(made.stdout.trim().slice(6))
  const id = listed.stdout.slice(0, 36)
  const rotated = await xconnect('rotate', id)
  expect(rotated).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Until .* the old secret signs as well/) })
  expect(rotated.stdout).toMatch(/^whsec_/)
  expect(rotated.stdout).not.toBe(made.stdout)
  expect((await xconnect('disable', id)).code).toBe(0)
  expect((await xconnect('list')).stdout).toContain('DISABLED (BY_OWNER)')
  expect((await xconnect('enable', id)).code).toBe(0)

  for (const [words, code, said] of [
    [['create', '--url', 'http://10.0.0.1/'], 1, /^Webhooks cannot be sent to this URL\./],
    [['create', '--url', url, '--types', 'account.exploded'], 2, /^There is no event account\.exploded\. There are: /],
    [['create'], 2, /^Usage:/],
    [['rotate', crypto.randomUUID()], 1, /^There is no endpoint with this id/],
    [['delete', 'x'], 1, /^There is no endpoint with this id/],
    [['paint', id], 2, /^Usage:/],
  ] as const)
    expect(await xconnect(...words)).toEqual({ code, stdout: '', stderr: expect.stringMatching(said) })

  expect((await xconnect('delete', id)).code).toBe(0)
  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  expect(await opened.db.select().from(webhookEndpoints)).toEqual([])
})
