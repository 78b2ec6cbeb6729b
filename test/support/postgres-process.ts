// The processes of a PostgreSQL server: started, ended, stopped and continued.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findFreePort } from './free-port.ts'
import type { Binaries, Owner } from './postgres-cluster.ts'

const run = promisify(execFile)

/** A start takes about 0.2 s; the limit leaves time for a busy machine. */
const START_LIMIT_MILLISECONDS = 60_000

export type RunningServer = { port: number; process: ChildProcess }

export async function startOnFreePort(
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
      // Another program may have taken the port since it was found.
      if (attempt === 3) throw error
    }
  }
}

export async function startServer(
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
    // Ctrl-C reaches the whole process group; the tests must still be able to drop their databases.
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

/** Like pg_ctl, reads the server's state from the eighth line of postmaster.pid. */
async function isReady(directory: string, pid: number | undefined): Promise<boolean> {
  const file = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = file.split('\n')
  return lines[0] === String(pid) && ['ready', 'standby'].includes(lines[7]?.trim() ?? '')
}

export async function endServer(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = once(server, 'exit')
  server.ref()
  server.kill(signal)
  await ended
}

export async function signalServer(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return
  // The parent first, so that a frozen server starts no further process. Each process is its own
  // process group.
  process.kill(server.pid, signal)
  for (const pid of await findChildren(server.pid)) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended in the meantime.
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
    // "pid (name) state ppid …", and a name may contain any character.
    const ppid = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
    if (Number(ppid) === parent) children.push(Number(entry))
  }
  return children
}
