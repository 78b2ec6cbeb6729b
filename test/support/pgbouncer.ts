/** Starts an installed PgBouncer in front of a PostgreSQL server, and removes it afterwards. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from './free-port.ts'
import { describeMissing, findInstalledProgram } from './installed-program.ts'
import { findServerOwner } from './postgres-cluster.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'

const START_LIMIT_MILLISECONDS = 30_000

export type PgBouncer = {
  /** Returns the URL of the same database through the pooler. */
  url: string
  /** Stops it: all client and server connections are closed, and new ones are refused. */
  stop(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts PgBouncer in front of the server of `url`, with its defaults and these settings.
 * @param settings of the section [pgbouncer], `pool_mode` first of all.
 */
export async function startPgBouncer(url: string, settings: Record<string, string>): Promise<PgBouncer> {
  const executable = findInstalledProgram('pgbouncer')
  if (executable === null) throw new Error(describeMissing('pgbouncer'))
  const target = new URL(url)
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('pgbouncer')).path
  const port = await findFreePort()
  const user = decodeURIComponent(target.username)
  const configuration = {
    listen_addr: '127.0.0.1',
    listen_port: String(port),
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: join(directory, 'users'),
    logfile: join(directory, 'pgbouncer.log'),
    ...settings,
  }
  const lines = Object.entries(configuration).map(([name, value]) => `${name} = ${value}`)
  const files = {
    users: `"${user}" "${decodeURIComponent(target.password)}"\n`,
    'pgbouncer.ini': [
      '[databases]',
      `* = host=${target.hostname} port=${target.port}`,
      '[pgbouncer]',
      ...lines,
      '',
    ].join('\n'),
  }
  // PgBouncer refuses to run as root.
  const owner = await findServerOwner()
  for (const [name, text] of Object.entries(files)) {
    const file = join(directory, name)
    await writeFile(file, text, { mode: 0o600 })
    if (owner) await chown(file, owner.uid, owner.gid)
  }
  if (owner) await chown(directory, owner.uid, owner.gid)
  await chmod(directory, 0o700)
  const start = async () => {
    const child = spawn(executable, ['-q', join(directory, 'pgbouncer.ini')], {
      ...owner,
      cwd: directory,
      env: {},
      stdio: 'ignore',
    })
    const deadline = performance.now() + START_LIMIT_MILLISECONDS
    while (!(await listens(port))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        const log = await readFile(configuration.logfile, 'utf8').catch(() => '')
        throw new Error(`PgBouncer did not start.\n${log}`)
      }
      await sleep(10)
    }
    return child
  }
  let child = await start()
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  resources.defer(stop)
  const kept = resources.move()
  target.port = String(port)
  return {
    url: target.href,
    stop,
    start: async () => {
      child = await start()
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
