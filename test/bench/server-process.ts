// One server of the comparison, in its own process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../support/free-port.ts'

export type ServerProcess = {
  url: string
  pid: number
  /** From the start of its process to its first response. */
  startMilliseconds: number
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const END_WITH_PARENT = join(import.meta.dirname, 'servers/end-with-parent.js')
const root = join(import.meta.dirname, '../..')
const START_MILLISECONDS = 120_000
const POLL_MILLISECONDS = 5

/** Starts a file of `servers/`, and waits until it responds. */
export function startServer(file: string, environment: Record<string, string>): Promise<ServerProcess> {
  return startNode([join(import.meta.dirname, 'servers', file)], environment, '/')
}

/** Starts the gateway as `npm start` does, and waits until it is ready. */
export function startGateway(environment: Record<string, string>): Promise<ServerProcess> {
  const { scripts }: { scripts: { start: string } } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [, options] = / exec node (.*)$/.exec(scripts.start) ?? []
  if (options === undefined) throw new Error('Bug: npm start no longer executes node')
  return startNode(options.split(' '), environment, '/readyz')
}

async function startNode(
  options: readonly string[],
  environment: Record<string, string>,
  path: string,
): Promise<ServerProcess> {
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const startedAt = performance.now()
  const child = spawn(process.execPath, [`--import=${END_WITH_PARENT}`, ...options], {
    cwd: root,
    env: { NODE_ENV: 'production', PORT: String(port), HOST: '127.0.0.1', PUBLIC_URL: url, ...environment },
    // It ends with its standard input; its log goes where nothing slows it down.
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const ended = once(child, 'close')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  while (child.exitCode === null && performance.now() - startedAt < START_MILLISECONDS) {
    const response = await fetch(url + path).catch(() => null)
    await response?.body?.cancel()
    if (response !== null && response.status !== 503 && child.pid !== undefined) {
      const startMilliseconds = performance.now() - startedAt
      return { url, pid: child.pid, startMilliseconds, stop, [Symbol.asyncDispose]: stop }
    }
    await sleep(POLL_MILLISECONDS)
  }
  await stop()
  throw new Error(`${options.at(-1)} did not start`)
}
