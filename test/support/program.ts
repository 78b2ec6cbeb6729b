// Runs one of this repository's programs in its own process, configured by environment variables.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { vi } from 'vitest'
import { compileCache, nodeOptions } from './node-start.ts'
import { statementLogEnvironment } from './statements/statement-log.ts'

/** The target of the program's output: the test, or this file descriptor. */
export type Streams = { stdout?: number; stderr?: number }

export type Program = {
  /** Returns its output so far, of both streams. */
  output(): string
  /** Resolves with its exit code, or with the name of the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>
  /** Waits until it has printed this. @throws Error with its output, if it ends without. */
  printed(text: string): Promise<void>
  /** Sends SIGTERM, and waits for the end. */
  stop(): Promise<number | NodeJS.Signals>
  /** Sends SIGKILL, and waits for the end. */
  kill(): Promise<number | NodeJS.Signals>
  /** Sends a signal without waiting. */
  signal(name: NodeJS.Signals): void
}

const root = path.join(import.meta.dirname, '../..')

/**
 * Starts a file, given by its path from the repository's root, with these environment variables
 * alone.
 * @param more.directory its working directory, by default the repository's root.
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
    env: { ...environment, ...compileCache, ...statementLogEnvironment() },
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
      waitWhileRunning({ output, ended }, { timeout: 60_000, interval: 50 }, () => {
        if (!output().includes(text)) throw new Error(`It has not printed "${text}", but:\n${output()}`)
      }),
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

/**
 * Waits until `check` does not throw.
 * @throws Error with the program's output, as soon as it has ended.
 */
export async function waitWhileRunning(
  { output, ended }: Pick<Program, 'output' | 'ended'>,
  limits: { timeout: number; interval: number },
  check: () => void | Promise<void>,
): Promise<void> {
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  const passed = await vi.waitFor(async () => {
    const wasOver = isOver
    try {
      await check()
      return true
    } catch (error) {
      if (!wasOver) throw error
      return false
    }
  }, limits)
  if (!passed) throw new Error(`It ended with ${await ended}. It printed:\n${output()}`)
}
