// A gateway as an operator runs it: a process of its own, told everything by its environment.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { vi } from 'vitest'

export type GatewayProcess = {
  /** What it has printed so far, on both streams. */
  output(): string
  /** Its exit code, once it has ended; a signal's name if that ended it. */
  ended: Promise<number | NodeJS.Signals>
  /** Until it answers that it is ready. @throws Error with what it printed, when it ends instead. */
  ready(url: string): Promise<void>
  /** Asks it to end, and waits. */
  stop(): Promise<number | NodeJS.Signals>
}

/** Starts `src/main.ts` with this environment and nothing else. */
export function startGatewayProcess(environment: Record<string, string>): GatewayProcess {
  const child: ChildProcess = spawn(process.execPath, ['src/main.ts'], {
    cwd: path.join(import.meta.dirname, '..'),
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  const output = () => chunks.join('')
  const ended = once(child, 'close').then(() => child.exitCode ?? child.signalCode ?? 'SIGKILL')
  return {
    output,
    ended,
    ready: (url) =>
      vi.waitFor(
        async () => {
          const { status } = await fetch(`${url}/readyz`)
          if (status !== 200) throw new Error(`Not ready: ${status}. It printed:\n${output()}`)
        },
        { timeout: 60_000, interval: 100 },
      ),
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}
