// A gateway in its own process, on an embedded database, and an ordinary client that keeps sending
// requests during the abuses.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { startSession } from '../../../src/auth/session.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { openPglite } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import { users } from '../../../src/db/tables.ts'
import { createDeps } from '../../../src/deps.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { findFreePort } from '../../support/free-port.ts'
import { compileCache, nodeOptions } from '../../support/node-start.ts'
import { percentile } from '../../support/percentile.ts'
import { makeTemporaryDirectory } from '../../support/temporary-directory.ts'

export type Victim = Awaited<ReturnType<typeof startVictim>>

/** The service that the ordinary client got. */
export type Service = { asked: number; failed: number; medianMilliseconds: number; p99Milliseconds: number }

const START_MILLISECONDS = 60_000
const PAUSE_MILLISECONDS = 25
// Of people who have webhooks: an ordinary one, and ten greedy ones.
const SESSIONS = 11

/**
 * Starts the gateway.
 * @param people the number of users, each with a token that may follow events.
 * @param history the number of events of the first of them.
 */
export async function startVictim(people: number, history: number) {
  await using resources = new AsyncDisposableStack()
  const { path } = resources.use(await makeTemporaryDirectory('abuse'))
  const { tokens, cookies } = await addPeople(path, people, history)
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, [...nodeOptions, '--disable-warning=ExperimentalWarning', 'src/main.ts'], {
    cwd: join(import.meta.dirname, '../../..'),
    env: {
      PORT: String(port),
      SANDBOX_PORT: '0',
      DATA_DIR: path,
      RATE_LIMITS: 'off',
      LOG_LEVEL: 'error',
      WEBHOOK_EGRESS: 'loopback',
      ...compileCache,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'close')
  resources.defer(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await becomesReady(url)
  const kept = resources.move()
  return {
    url,
    port,
    tokens,
    /** The Cookie headers of sessions, each of another user. */
    cookies,
    memoryMb: () => readMemoryMb(child.pid),
    /**
     * Sends one request after the other until `work` is done.
     * @param send sends one and returns its status; without it, one of nobody.
     */
    watch: (work: () => Promise<void>, send = () => ask(url, '{ viewer { id } }')) => watch(send, work),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

// The memory of a process in megabytes; 0 if the system is not Linux, which has /proc.
function readMemoryMb(pid: number | undefined): number {
  const file = `/proc/${pid}/status`
  if (!existsSync(file)) return 0
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(file, 'utf8'))?.[1]) / 1024
}

async function addPeople(
  dataDir: string,
  people: number,
  history: number,
): Promise<{ tokens: string[]; cookies: string[] }> {
  await using resources = new AsyncDisposableStack()
  const database = await openPglite(join(dataDir, 'pglite'))
  resources.defer(() => database.close())
  await migrateDatabase(database)
  const webhookEgress = createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 1 })
  resources.defer(() => webhookEgress.close())
  const deps = createDeps({
    db: database.db,
    config: parseConfig({ DATA_DIR: dataDir }),
    log: createLog('error', { write: (line) => void process.stderr.write(line) }),
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress,
    eventNotifier: { notify: () => {}, end: async () => {} },
  })
  const tokens: string[] = []
  const cookies: string[] = []
  for (let githubId = 1; githubId <= Math.max(people, SESSIONS); githubId++) {
    const [user] = await deps.db
      .insert(users)
      .values({ githubId, login: `person-${githubId}` })
      .returning()
    if (user === undefined) throw new Error('Bug: an insert gives no row')
    const token = { name: 'a program', scopes: ['events:read'], expiresInDays: 1 }
    if (tokens.length < people) tokens.push((await createApiToken(deps, { userId: user.id }, token)).secret)
    if (cookies.length < SESSIONS)
      cookies.push((await startSession(deps, user.id, null)).setCookie.split(';', 1)[0] ?? '')
  }
  await database.db.execute(sql`insert into events (user_id, id, position, type, occurred_at)
    select user_id, gen_random_uuid(), position + n, 'tweet.posted', xconnect_now()
    from event_positions, generate_series(1, ${history}::int) n
    where user_id = (select id from users where github_id = 1)`)
  await database.db.execute(sql`update event_positions set position = position + ${history}::int
    where user_id = (select id from users where github_id = 1)`)
  await database.db.execute(sql`analyze events`)
  return { tokens, cookies }
}

async function becomesReady(url: string): Promise<void> {
  for (const startedAt = performance.now(); performance.now() - startedAt < START_MILLISECONDS; await sleep(100)) {
    const response = await fetch(`${url}/readyz`).catch(() => null)
    if (response?.status === 200) return
  }
  throw new Error('The gateway did not become ready')
}

/** Posts a document, without a cookie or a token unless `credentials` has one. */
export async function ask(url: string, query: string, credentials: Record<string, string> = {}): Promise<number> {
  const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...credentials }
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) })
  await response.arrayBuffer()
  return response.status
}

async function watch(send: () => Promise<number>, work: () => Promise<void>): Promise<Service> {
  const latencies: number[] = []
  let failed = 0
  let isDone = false
  const working = work().finally(() => {
    isDone = true
  })
  while (!isDone) {
    const startedAt = performance.now()
    const status = await send().catch(() => 0)
    if (status !== 200) failed += 1
    latencies.push(performance.now() - startedAt)
    await sleep(PAUSE_MILLISECONDS)
  }
  await working
  return {
    asked: latencies.length,
    failed,
    medianMilliseconds: percentile(latencies, 0.5),
    p99Milliseconds: percentile(latencies, 0.99),
  }
}
