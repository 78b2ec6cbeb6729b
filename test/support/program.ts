// A program of ours in a process of its own, which is told everything by its environment.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { vi } from 'vitest'
import { compileCache, nodeOptions } from './node-start.ts'

/** Where the program's two streams lead: to the test, or to this file descriptor. */
export type Streams = { stdout?: number; stderr?: number }

export type Program = {
  /** What it has printed so far, on both streams. */
  output(): string
  /** Its exit code, once it has ended; a signal's name if that ended it. */
  ended: Promise<number | NodeJS.Signals>
  /** Until it has printed this. @throws Error with what it printed instead. */
  printed(text: string): Promise<void>
  /** Asks it to end, and waits. */
  stop(): Promise<number | NodeJS.Signals>
  /** Ends it with no chance to tidy up, and waits. */
  kill(): Promise<number | NodeJS.Signals>
  /** Sends a signal, and does not wait. */
  signal(name: NodeJS.Signals): void
}

const root = path.join(import.meta.dirname, '../..')

/**
 * Starts a file, named from our root, with this environment and nothing else.
 * @param more.directory where it works, our root unless given.
 */
export function startProgram(
  file: string,
  environment: Record<string, string>,
  options: string[] = [],
  {
    stdout = 'pipe',
    stderr = 'pipe',
    directory = root,
  }: { [Stream in keyof Streams]: Streams[Stream] | 'pipe' } & { directory?: string } = {},
): Program {
  const child = spawn(process.execPath, [...nodeOptions, path.join(root, file), ...options], {
    cwd: directory,
    env: { ...environment, ...compileCache },
    stdio: ['ignore', stdout, stderr],
  })
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  const output = () => chunks.join('')
  const ended = once(child, 'close').then(() => child.exitCode ?? child.signalCode ?? 'SIGKILL')
  return {
    output,
    ended,
    printed: (text) =>
      vi.waitFor(
        () => {
          if (!output().includes(text)) throw new Error(`It has not printed "${text}", but:\n${output()}`)
        },
        { timeout: 60_000, interval: 50 },
      ),
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
    kill: () => {
      child.kill('SIGKILL')
      return ended
    },
    signal: (name) => void child.kill(name),
  }
}
