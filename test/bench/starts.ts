// How long a start takes, and what an idle gateway needs: beside a process of Node that does no more
// than open PGlite.
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import type { BenchOptions } from './arguments.ts'
import type { Figures } from './figures.ts'
import { readProcessorTime, readResidentBytes } from './processor-time.ts'
import { type ServerProcess, startGateway, startServer } from './server-process.ts'
import { gatewayEnvironment, type Stage } from './stage.ts'

export type Starts = { pglite: Figures[]; embedded: Figures[]; postgres: Figures[] }

// A round of the maintenance and the statements after a start.
const SETTLE_SECONDS = 10
const IDLE_SECONDS = 60

/** Starts each in turns, warm: the database exists, and compiled code is kept. */
export async function measureStarts(stage: Stage, { rounds }: BenchOptions): Promise<Starts> {
  await using resources = new AsyncDisposableStack()
  const [own, ours] = [
    resources.use(await makeTemporaryDirectory('bench-pglite', 'disk')),
    resources.use(await makeTemporaryDirectory('bench-data', 'disk')),
  ]
  const starts = {
    pglite: () => startServer('pglite.js', { DIRECTORY: `${own.path}/pglite` }),
    embedded: embeddedGateway(stage, ours.path),
    postgres: () => startGateway(stage.environment),
  }
  const measured: Starts = { pglite: [], embedded: [], postgres: [] }
  for (const start of Object.values(starts)) await (await start()).stop()
  for (let round = 0; round < rounds; round++)
    for (const name of ['pglite', 'embedded', 'postgres'] as const)
      measured[name].push(await measureStart(starts[name]))
  return measured
}

/** Measures idle gateways for a minute, in which each task of the maintenance runs once. */
export async function measureIdle(stage: Stage): Promise<Record<'embedded' | 'postgres', Figures[]>> {
  await using directory = await makeTemporaryDirectory('bench-data', 'disk')
  await stage.gateway.stop()
  await using embedded = await embeddedGateway(stage, directory.path)()
  await using onPostgres = await startGateway(stage.environment)
  await sleep(SETTLE_SECONDS * 1000)
  const before = { embedded: readProcessorTime(embedded.pid), postgres: readProcessorTime(onPostgres.pid) }
  const transactions = await countTransactions(stage)
  await sleep(IDLE_SECONDS * 1000)
  const ofCore = (process: ServerProcess, before: number) =>
    (readProcessorTime(process.pid) - before) / (IDLE_SECONDS * 10)
  return {
    embedded: [{ '% of a core': ofCore(embedded, before.embedded), 'memory MB': megabytes(embedded) }],
    postgres: [
      {
        '% of a core': ofCore(onPostgres, before.postgres),
        'memory MB': megabytes(onPostgres),
        'transactions/s': ((await countTransactions(stage)) - transactions) / IDLE_SECONDS,
      },
    ],
  }
}

function embeddedGateway(stage: Stage, directory: string): () => Promise<ServerProcess> {
  const environment = { ...gatewayEnvironment(null, stage.stub.url), DATA_DIR: directory }
  return () => startGateway(environment)
}

async function measureStart(start: () => Promise<ServerProcess>): Promise<Figures> {
  await using process = await start()
  return {
    'ready ms': process.startMilliseconds,
    'CPU ms': readProcessorTime(process.pid),
    'memory MB': megabytes(process),
  }
}

function megabytes({ pid }: ServerProcess): number {
  return readResidentBytes(pid) / 1024 ** 2
}

// A statement outside of a transaction is one. Statistics are written with a delay of up to a second.
async function countTransactions({ sql, databaseUrl }: Stage): Promise<number> {
  const name = new URL(databaseUrl).pathname.slice(1)
  const [row] = await sql`select xact_commit + xact_rollback as count from pg_stat_database where datname = ${name}`
  return Number(row?.count)
}
