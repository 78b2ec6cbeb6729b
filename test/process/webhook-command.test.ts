import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { webhookEndpoints } from '../../src/db/tables.ts'
import { createTestDatabase } from '../support/database.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { xconnect } from '../support/xconnect.ts'

test('xconnect webhook creates, lists, rotates, disables, enables and deletes the operator’s endpoints', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('webhook-command'))
  const environment = {
    ...database.environment,
    DATA_DIR: directory.path,
    WEBHOOK_EGRESS: 'loopback',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  }
  const webhook = (...words: string[]) => xconnect(environment, 'webhook', ...words)
  const url = 'http://127.0.0.1:4000/hook'

  expect(await webhook('list')).toEqual({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/^There are no endpoints/),
  })
  const made = await webhook('create', '--url', url, '--types', 'account.connected,account.needs_reauth')
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=\n$/) })
  const listed = await webhook('list')
  expect(listed.stdout).toMatch(/^[0-9a-f-]{36} {2}ENABLED {2}ok {2}account.connected,account.needs_reauth {2}http/)
  expect(listed.stdout).not.toContain(made.stdout.trim().slice(6))
  const id = listed.stdout.slice(0, 36)
  const rotated = await webhook('rotate', id)
  expect(rotated).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Until .* the old secret signs as well/) })
  expect(rotated.stdout).toMatch(/^whsec_/)
  expect(rotated.stdout).not.toBe(made.stdout)
  expect((await webhook('disable', id)).code).toBe(0)
  expect((await webhook('list')).stdout).toContain('DISABLED (BY_OWNER)')
  expect((await webhook('enable', id)).code).toBe(0)

  for (const [words, code, said] of [
    [['create', '--url', 'http://10.0.0.1/'], 1, /^Webhooks cannot be sent to this URL\./],
    [
      ['create', '--url', url, '--types', 'account.exploded'],
      2,
      /^Unknown event type: account\.exploded\. The event types are /,
    ],
    [['create'], 2, /^Usage:/],
    [['rotate', crypto.randomUUID()], 1, /^There is no endpoint with this id/],
    [['delete', 'x'], 1, /^There is no endpoint with this id/],
    [['paint', id], 2, /^Usage:/],
  ] as const)
    expect(await webhook(...words)).toEqual({ code, stdout: '', stderr: expect.stringMatching(said) })

  expect((await webhook('delete', id)).code).toBe(0)
  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  expect(await opened.db.select().from(webhookEndpoints)).toEqual([])
})
