import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { webhookDeliveries } from '../../src/db/tables.ts'
import { openBrowser } from '../support/browser.ts'
import { createTestDatabase } from '../support/database.ts'
import { expireJobs } from '../support/expired-jobs.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { startReceiver, webhooksOf } from '../support/webhook-receiver.ts'

test('W-02 resends a message with the same id if its sender is killed before the response', {
  timeout: 240_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('webhook-kill'))
  const receiver = await startReceiver()
  resources.defer(() => receiver.close())
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const environment = {
    ...database.environment,
    DATA_DIR: directory.path,
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
    WEBHOOK_EGRESS: 'loopback',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  }
  const first = startGatewayProcess(environment)
  resources.defer(async () => void (await first.kill()))
  await first.ready(url)
  const person = openBrowser(url)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  const webhooks = webhooksOf(person)
  const { id } = await webhooks.create({ url: receiver.url })
  receiver.respondWith(null)
  await webhooks.test(id)
  await vi.waitFor(() => expect(receiver.received).toHaveLength(1), { timeout: 30_000 })
  await first.kill()

  const connectionString = database.environment.DATABASE_URL ?? ''
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  expect(await opened.db.select().from(webhookDeliveries)).toMatchObject([{ status: 'PENDING', attempts: 1 }])
  receiver.respondWith({ status: 204 })
  // For a minute the job and the row belong to the dead process, and pg-boss looks for such jobs
  // once a minute. The test does not wait for that.
  await opened.db.execute(sql`update webhook_deliveries set next_attempt_at = next_attempt_at - interval '2 minutes'`)
  await expireJobs(opened, connectionString)
  const second = startGatewayProcess(environment)
  resources.defer(async () => void (await second.stop()))
  await second.ready(url)
  await vi.waitFor(() => expect(receiver.received).toHaveLength(2), { timeout: 180_000, interval: 200 })
  const [before, after] = receiver.received
  expect(after?.headers['webhook-id']).toBe(before?.headers['webhook-id'])
  expect(after?.body).toBe(before?.body)
  await vi.waitFor(
    async () =>
      expect(await opened.db.select().from(webhookDeliveries)).toMatchObject([{ status: 'DELIVERED', attempts: 2 }]),
    { timeout: 30_000 },
  )
})
