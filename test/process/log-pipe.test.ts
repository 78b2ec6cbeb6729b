// A gateway whose log nobody reads: it responds to requests and ends on signals as usual.
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { production } from '../support/config-environment.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { type LogPipe, openLogPipe } from '../support/log-pipe.ts'
import type { Streams } from '../support/program.ts'

// With this URL each request's line has 7 kB, so these are more lines than the buffer keeps.
const LONG = 'x'.repeat(7_000)
const REQUESTS = 250
// Kubernetes' grace period between SIGTERM and SIGKILL.
const KILLED_AFTER_MILLISECONDS = 30_000
// The deadline of a request in these tests.
const HANGS_AFTER_MILLISECONDS = 20_000

async function startInProduction(streamsIn: (directory: string) => Streams) {
  const database = await createTestDatabase('postgres')
  const port = await findFreePort()
  const gateway = startGatewayProcess(
    {
      ...production(),
      ...database.environment,
      HOST: '127.0.0.1',
      PORT: String(port),
    },
    streamsIn(database.dataDir),
  )
  onTestFinished(async () => {
    await gateway.kill()
    await database.remove()
  })
  const url = `http://127.0.0.1:${port}`
  await gateway.ready(url)
  return { gateway, url }
}

const ask = (url: string) => fetch(url, { signal: AbortSignal.timeout(HANGS_AFTER_MILLISECONDS) })

async function askAll(url: string, requests: number): Promise<number[]> {
  const statuses: number[] = []
  for (let index = 0; index < requests; index += 1) {
    const response = await ask(`${url}/${index}/${LONG}`)
    await response.arrayBuffer()
    statuses.push(response.status)
  }
  return statuses
}

async function endedBy(gateway: GatewayProcess): Promise<number | NodeJS.Signals> {
  const timer = setTimeout(() => gateway.signal('SIGKILL'), KILLED_AFTER_MILLISECONDS)
  const ended = await gateway.ended
  clearTimeout(timer)
  return ended
}

async function listProblems(url: string): Promise<string[]> {
  const { problems } = (await (await ask(`${url}/readyz`)).json()) as { problems: { code: string }[] }
  return problems.map(({ code }) => code)
}

function openPipe(directory: string): LogPipe {
  const pipe = openLogPipe(path.join(directory, 'log-pipe'))
  onTestFinished(pipe.close)
  return pipe
}

const openDevFull = () => {
  const fd = openSync('/dev/full', 'w')
  onTestFinished(() => closeSync(fd))
  return fd
}

// Both streams, as with "2>&1".
const untaken: [string, (directory: string) => { streams: Streams; stopTaking(): void }][] = [
  [
    'a pipe that is full',
    (directory) => {
      const pipe = openPipe(directory)
      return { streams: { stdout: pipe.writeEnd, stderr: pipe.writeEnd }, stopTaking: pipe.fill }
    },
  ],
  [
    'a pipe whose reader is gone',
    (directory) => {
      const pipe = openPipe(directory)
      return { streams: { stdout: pipe.writeEnd, stderr: pipe.writeEnd }, stopTaking: pipe.closeReader }
    },
  ],
  [
    'a full disk',
    () => {
      const fd = openDevFull()
      return { streams: { stdout: fd, stderr: fd }, stopTaking: () => {} }
    },
  ],
]

test.each(untaken)('responds to requests and ends on SIGTERM, with the log on %s', async (_what, open) => {
  let stopTaking = () => {}
  const { gateway, url } = await startInProduction((directory) => {
    const opened = open(directory)
    stopTaking = opened.stopTaking
    return opened.streams
  })
  stopTaking()
  expect(await askAll(url, REQUESTS)).toEqual(Array(REQUESTS).fill(404))
  expect(await listProblems(url)).toContain('LOG_LINES_DROPPED')
  gateway.signal('SIGTERM')
  expect(await endedBy(gateway)).toBe(0)
})

test.each(untaken)('ends at once on a second SIGTERM, with the log on %s', async (_what, open) => {
  let stopTaking = () => {}
  const { gateway, url } = await startInProduction((directory) => {
    const opened = open(directory)
    stopTaking = opened.stopTaking
    return opened.streams
  })
  stopTaking()
  await askAll(url, REQUESTS)
  gateway.signal('SIGTERM')
  // From here on it only waits for the load balancer.
  await vi.waitFor(async () => expect((await ask(`${url}/readyz`)).status).toBe(503), HANGS_AFTER_MILLISECONDS)
  gateway.signal('SIGTERM')
  expect(await endedBy(gateway)).toBe(1)
})

test('a reader that returns gets the kept lines in order, and the number of dropped ones', async () => {
  let pipe: LogPipe | null = null
  const { url } = await startInProduction((directory) => {
    pipe = openPipe(directory)
    return { stdout: pipe.writeEnd, stderr: openDevFull() }
  })
  const log: LogPipe = pipe ?? expect.fail('The pipe was not opened')
  let text = log.read()
  log.fill()
  await askAll(url, REQUESTS)
  const lines = () =>
    text
      .split('\n')
      .slice(0, -1)
      .filter((line) => line !== '')
      .map((line): { path?: string; droppedLines?: number } => JSON.parse(line))
  await vi.waitFor(
    () => {
      text += log.read()
      expect(lines().at(-1)).toHaveProperty('droppedLines')
    },
    { timeout: HANGS_AFTER_MILLISECONDS, interval: 20 },
  )
  const dropped = lines().at(-1)?.droppedLines ?? 0
  const told = lines().flatMap(({ path }) => (path?.endsWith(LONG) ? [Number(path.split('/')[1])] : []))
  expect(dropped).toBeGreaterThan(0)
  expect(told).toEqual(Array.from({ length: REQUESTS - dropped }, (_, index) => index))
  // Logging works as before.
  await askAll(url, 1)
  text += log.read()
  expect(lines().at(-1)?.path).toBe(`/0/${LONG}`)
})

test('reports on standard error at once that lines of standard output are dropped', async () => {
  let pipe: LogPipe | null = null
  const { gateway, url } = await startInProduction((directory) => {
    pipe = openPipe(directory)
    return { stdout: pipe.writeEnd }
  })
  const log: LogPipe = pipe ?? expect.fail('The pipe was not opened')
  log.closeReader()
  await askAll(url, REQUESTS)
  await vi.waitFor(() => expect(gateway.output()).toContain('Log lines were dropped'))
  // Once, and not for each line.
  expect(gateway.output().split('Log lines were dropped')).toHaveLength(2)
})
