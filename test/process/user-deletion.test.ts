// The deletion of a user goes on after the process that ran it was killed between two batches.
import { eq, sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { openPostgres, queryRows } from '../../src/db/client.ts'
import { connectedAccounts, tweets, users } from '../../src/db/tables.ts'
import { openBrowser } from '../support/browser.ts'
import { expireJobs } from '../support/expired-jobs.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { addHistory } from '../support/long-history.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'
import { countRows } from '../support/user-deletion.ts'

const HISTORY = { tweets: 40_000, events: 5_000, deliveries: 2_000, keys: 2_000 }

test('L-09 a deletion whose gateway is killed between two batches is ended by another gateway', {
  timeout: 240_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const port = await findFreePort()
  const publicUrl = `http://127.0.0.1:${port}`
  const { sandbox, connectionString, environment } = await createSandboxSite(resources, publicUrl)
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const world = { db: () => opened.db }
  const start = async () => {
    const gateway = startGatewayProcess({ ...environment, PORT: String(port) })
    resources.defer(async () => void (await gateway.kill()))
    await gateway.ready(publicUrl)
    return gateway
  }
  const first = await start()
  const person = openBrowser(publicUrl)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  sandbox.control.addAccount('busy_bot')
  expect(await person.connect('busy_bot')).toMatchObject({ outcome: 'connected' })
  const [account] = await opened.db.select().from(connectedAccounts)
  const userId = account?.userId ?? ''
  await addHistory(world, { userId, accountId: account?.id ?? '' }, HISTORY)

  const { deleteViewer } = await person.api('delete-viewer', { input: { login: 'mara-holt' } })
  expect(deleteViewer).toMatchObject({ deletion: { status: 'DELETING' }, userErrors: [] })
  await vi.waitFor(async () => expect(await opened.db.$count(tweets)).toBeLessThan(HISTORY.tweets), {
    timeout: 60_000,
    interval: 5,
  })
  await first.kill()
  const left = await opened.db.$count(tweets)
  expect(left).toBeGreaterThan(0)
  expect(left % 1_000).toBe(0)
  expect(await opened.db.$count(users, eq(users.id, userId))).toBe(1)

  await start()
  await expireJobs(opened, connectionString)
  await queryRows(opened.db, sql`select pg_notify('xconnect_jobs', '')`)
  const userDeletionId = deleteViewer.deletion?.id ?? ''
  const ask = async () => (await openBrowser(publicUrl).api('user-deletion', { userDeletionId })).userDeletion
  await vi.waitFor(async () => expect(await ask()).toMatchObject({ status: 'DELETED' }), {
    timeout: 120_000,
    interval: 500,
  })
  await vi.waitFor(async () => expect(await countRows(world, userId)).toEqual({}), { timeout: 60_000, interval: 500 })
  expect(sandbox.control.grants('busy_bot')).toMatchObject([{ live: false }])
})
