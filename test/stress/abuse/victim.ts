// A gateway in its own process, and ordinary users who keep sending requests during the abuses.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readProcessorTime } from '../../bench/processor-time.ts'
import { findFreePort } from '../../support/free-port.ts'
import { compileCache, nodeOptions } from '../../support/node-start.ts'
import { startPostgresServer } from '../../support/postgres.ts'
import { makeTemporaryDirectory } from '../../support/temporary-directory.ts'
import { type Neighbour, watchNeighbour } from './neighbour.ts'
import { addPeople, type Size } from './people.ts'

export type Victim = Awaited<ReturnType<typeof startVictim>>

/** How a gateway is started. */
export type VictimOptions = Size & {
  /** `shipped` has the limits of RATE_LIMITS that apply where it is not set. */
  limits: 'off' | 'shipped'
  database: 'pglite' | 'postgres'
}

const START_MILLISECONDS = 60_000

/** Starts the gateway on a database of its own. */
export async function startVictim({ limits, database, ...size }: VictimOptions) {
  await using resources = new AsyncDisposableStack()
  const { path } = resources.use(await makeTemporaryDirectory('abuse'))
  const server =
    database === 'postgres' ? resources.use(await startPostgresServer({ settings: { autovacuum: 'on' } })) : null
  const databaseUrl = (await server?.createDatabase())?.url ?? null
  const { tokens, cookies, neighbour, leaver } = await addPeople(path, databaseUrl, size)
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, [...nodeOptions, '--disable-warning=ExperimentalWarning', 'src/main.ts'], {
    cwd: join(import.meta.dirname, '../../..'),
    env: {
      PORT: String(port),
      SANDBOX_PORT: '0',
      DATA_DIR: path,
      ...(databaseUrl !== null && { DATABASE_URL: databaseUrl }),
      ...(limits === 'off' && { RATE_LIMITS: 'off' }),
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
    hasLimits: limits === 'shipped',
    tokens,
    cookies,
    neighbour,
    leaver,
    memoryMb: () => readMemoryMb(child.pid),
    /** Of the gateway alone; 0 if the system is not Linux. */
    processorMilliseconds: () => (existsSync(`/proc/${child.pid}/stat`) ? readProcessorTime(child.pid ?? 0) : 0),
    /** Lets the neighbours send one request after the other until `work` is done. */
    watch: (work: () => Promise<void>, asked: Neighbour = neighbour) => watchNeighbour(url, asked, work),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

// The memory of a process in megabytes; 0 if the system is not Linux, which has /proc.
function readMemoryMb(pid: number | undefined): number {
  const file = `/proc/${pid}/status`
  if (!existsSync(file)) return 0
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(file, 'utf8'))?.[1]) / 1024
}

async function becomesReady(url: string): Promise<void> {
  for (const startedAt = performance.now(); performance.now() - startedAt < START_MILLISECONDS; await sleep(100)) {
    const response = await fetch(`${url}/readyz`).catch(() => null)
    if (response?.status === 200) return
  }
  throw new Error('The gateway did not become ready')
}
