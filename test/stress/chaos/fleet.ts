// Gateway processes under a supervisor, and the faults that strike them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Timing } from '../../../src/config/timing.ts'
import { findFreePort } from '../../support/free-port.ts'
import { compileCache, nodeOptions } from '../../support/node-start.ts'
import { statementLogEnvironment } from '../../support/statements/statement-log.ts'

/** A port on which one process after another runs. */
export type Slot = {
  url: string
  port: number
  logFile: string
  process: ChildProcess | null
  /** Being restarted or struck by a fault: no other fault may choose it. */
  busy: boolean
}

export type Fleet = {
  slots: readonly Slot[]
  /**
   * Starts a process and waits until it is ready; restarts it if it ends instead, as a supervisor
   * does.
   */
  start(slot: Slot): Promise<void>
  startAll(): Promise<void>
  /** Starts src/main.ts where it must refuse to run, and waits for its end. */
  startRefused(slot: Slot): Promise<{ seconds: number; exitCode: number | null }>
  /** Sends SIGKILL. */
  kill(slot: Slot): Promise<void>
  /** Sends SIGTERM, and waits for the end. */
  terminate(slot: Slot): Promise<void>
  /** Stops the process (SIGSTOP) for this time. */
  stall(slot: Slot, seconds: number): Promise<void>
  /** Returns the output of all processes so far. */
  readLogs(): string
  counts: { starts: number; failedStarts: number; crashes: number; uncleanEnds: number }
  [Symbol.asyncDispose](): Promise<void>
}

const SCRIPT = join(import.meta.dirname, 'gateway-process.ts')
const MAIN = join(import.meta.dirname, '../../../src/main.ts')
const MAX_START_TRIES = 60
const START_PAUSE_MILLISECONDS = 250
const REFUSAL_LIMIT_MILLISECONDS = 30_000

/** @param environment of all processes; each has its own port besides. */
export async function createFleet(options: {
  processes: number
  directory: string
  timing: Timing
  environment(publicUrl: string): Record<string, string>
}): Promise<Fleet> {
  const slots: Slot[] = []
  for (let index = 0; index < options.processes; index++) {
    const port = await findFreePort()
    const logFile = join(options.directory, `gateway-${index}.log`)
    slots.push({ url: `http://127.0.0.1:${port}`, port, logFile, process: null, busy: false })
  }
  const environment = options.environment(slots[0]?.url ?? '')
  const counts = { starts: 0, failedStarts: 0, crashes: 0, uncleanEnds: 0 }
  const wanted = new WeakSet<ChildProcess>()

  const spawnIn = (slot: Slot, script: string): ChildProcess => {
    const log = openSync(slot.logFile, 'a')
    const child = spawn(process.execPath, [...nodeOptions, script, JSON.stringify(options.timing)], {
      cwd: options.directory,
      env: { ...environment, PORT: String(slot.port), ...compileCache, ...statementLogEnvironment() },
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    slot.process = child
    return child
  }
  const startOnce = async (slot: Slot): Promise<boolean> => {
    const child = spawnIn(slot, SCRIPT)
    const isReady = await Promise.race([once(child, 'message').then(() => true), once(child, 'exit').then(() => false)])
    if (isReady) child.once('exit', () => wanted.has(child) || counts.crashes++)
    return isReady
  }
  const end = async (slot: Slot, signal: NodeJS.Signals): Promise<number | null> => {
    const child = slot.process
    if (child === null || child.exitCode !== null || child.signalCode !== null) return 0
    wanted.add(child)
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
    return child.exitCode
  }
  const fleet: Fleet = {
    slots,
    counts,
    async start(slot) {
      counts.starts++
      for (let tries = 1; !(await startOnce(slot)); tries++) {
        counts.failedStarts++
        if (tries === MAX_START_TRIES) {
          throw new Error(`A gateway did not start.\n${readFileSync(slot.logFile, 'utf8').slice(-2_000)}`)
        }
        await sleep(START_PAUSE_MILLISECONDS)
      }
    },
    async startAll() {
      await Promise.all(slots.map((slot) => fleet.start(slot)))
    },
    async startRefused(slot) {
      const startedAt = performance.now()
      const child = spawnIn(slot, MAIN)
      const timer = setTimeout(() => child.kill('SIGKILL'), REFUSAL_LIMIT_MILLISECONDS)
      await once(child, 'exit')
      clearTimeout(timer)
      return { seconds: (performance.now() - startedAt) / 1000, exitCode: child.exitCode }
    },
    async kill(slot) {
      await end(slot, 'SIGKILL')
    },
    async terminate(slot) {
      if ((await end(slot, 'SIGTERM')) !== 0) counts.uncleanEnds++
    },
    async stall(slot, seconds) {
      const pid = slot.process?.pid
      if (pid === undefined || slot.process?.exitCode !== null) return
      // In its own process, so that no gateway stays stopped if this process ends meanwhile.
      const stall = spawn('/bin/sh', ['-c', `kill -STOP ${pid}; sleep ${seconds}; kill -CONT ${pid}`], {
        stdio: 'ignore',
        detached: true,
      })
      await once(stall, 'exit')
    },
    readLogs: () => slots.map((slot) => readLog(slot.logFile)).join(''),
    async [Symbol.asyncDispose]() {
      await Promise.all(slots.map((slot) => end(slot, 'SIGKILL')))
    },
  }
  return fleet
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
