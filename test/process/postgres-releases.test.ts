// The oldest and the newest supported release of PostgreSQL: the start, and the main operations of
// users.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { JOBS_CHANNEL } from '../../src/db/jobs.ts'
import { postgres } from '../../src/db/postgres.ts'
import { MAINTENANCE_QUEUE, maintenanceTasks } from '../../src/jobs/maintenance.ts'
import { cookieOf, openBrowser } from '../support/browser.ts'
import { openStream } from '../support/event-stream.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

// The directory of Debian's package, or of another installation.
const OLDEST = process.env.POSTGRES_BINARIES ?? '/usr/lib/postgresql/15/bin'
const missingSentence = `No PostgreSQL was found in ${OLDEST}. Install one (Debian: apt-get install postgresql-15), or set POSTGRES_BINARIES.`

function isThere(): boolean {
  try {
    accessSync(join(OLDEST, 'postgres'), constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function goOnceThrough(binaries?: string): Promise<number> {
  await using resources = new AsyncDisposableStack()
  const server = resources.use(await startPostgresServer(binaries === undefined ? {} : { binaries }))
  const { url: DATABASE_URL } = await server.createDatabase()
  const admin = postgres(DATABASE_URL, { max: 1, onnotice: () => {} })
  resources.defer(() => admin.end())
  const directory = resources.use(await makeTemporaryDirectory('release'))
  const port = await findFreePort()
  const gateway = startGatewayProcess({
    DATABASE_URL,
    DATA_DIR: directory.path,
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
  })
  resources.defer(async () => void (await gateway.kill()))
  const url = `http://127.0.0.1:${port}`
  await gateway.ready(url)
  const person = openBrowser(url)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  const stream = await openStream(url, cookieOf(person))
  const input = { text: 'On every release', idempotencyKey: 'on-every-release' }
  const { postTweet } = await person.api('post-tweet', { input })
  expect(postTweet).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  await vi.waitFor(() => expect(stream.types()).toContain('TWEET_POSTED'), { timeout: 60_000 })
  await stream.hangUp()
  // The gateway queues them each minute; here the test does, and wakes it.
  const queued: string[] = []
  for (const task of maintenanceTasks.keys()) {
    const [job] = await admin`insert into pgboss.job (name, data, singleton_key)
      values (${MAINTENANCE_QUEUE}, ${admin.json({ task })}, ${task}) returning id`
    queued.push(String(job?.id))
  }
  await admin.notify(JOBS_CHANNEL, '')
  const countDone = () => admin`select from pgboss.job where id in ${admin(queued)} and state = 'completed'`
  await vi.waitFor(async () => expect(await countDone()).toHaveLength(maintenanceTasks.size), {
    timeout: 60_000,
    interval: 200,
  })
  expect(await gateway.stop()).toBe(0)
  expect(gateway.output()).not.toMatch(/"level":"(error|fatal)"/)
  const [row] = await admin`show server_version_num`
  return Math.floor(Number(row?.server_version_num) / 10_000)
}

test('serves on the newest supported release: migrations, sign-in, connect, post, events and the sweep', async () => {
  expect(await goOnceThrough()).toBe(18)
})

if (isThere()) {
  test('serves the same on the oldest supported release', async () => {
    const release = await goOnceThrough(OLDEST)
    if (process.env.POSTGRES_BINARIES === undefined) expect(release).toBe(15)
    else expect(release).toBeGreaterThanOrEqual(15)
  })
} else {
  console.warn(`SKIPPED: the oldest release of PostgreSQL. ${missingSentence}`)
  test.skip('serves the same on the oldest supported release (skipped: no PostgreSQL 15 found)', () => {})
}
