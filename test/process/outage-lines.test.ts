// The log of a gateway whose database is away: an operator reads it at night.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

type Line = { time: string; level: string; msg: string; awaySince?: string }

const EVERY_MILLISECONDS = 10_000
// A loop of the job queue looks every few seconds, and callers ask all the time.
const AWAY_MILLISECONDS = 14_000

test('a database that is away has one line for each sentence, and one in ten seconds after these', async () => {
  await using server = await startPostgresServer()
  await using directory = await makeTemporaryDirectory('outage-lines')
  const { url: databaseUrl } = await server.createDatabase()
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const gateway = startGatewayProcess({
    DATABASE_URL: databaseUrl,
    DATA_DIR: directory.path,
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
  })
  await gateway.ready(url)
  await server.shutDown('immediate')
  const isOver = AbortSignal.timeout(AWAY_MILLISECONDS)
  while (!isOver.aborted) {
    const body = JSON.stringify({ query: '{ viewer { login } }' })
    const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body })
    expect(response.status).toBe(503)
    await sleep(50)
  }
  await server.start()
  await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 60_000 })
  await gateway.stop()
  const lines: Line[] = gateway
    .output()
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []))
  const told = lines.filter(({ awaySince }) => awaySince !== undefined)
  expect(told.length).toBeGreaterThan(1)
  const seen = new Set<string>()
  for (const [at, { msg, time }] of told.entries()) {
    const before = told[at - 1]
    // By the log's own times, of whole milliseconds.
    if (seen.has(msg))
      expect(Date.parse(time) - Date.parse(before?.time ?? '')).toBeGreaterThanOrEqual(EVERY_MILLISECONDS - 5)
    seen.add(msg)
  }
  // A connection that ends in the middle of a query may fail with the code of any socket.
  const others = lines.filter(({ level, awaySince }) => ['warn', 'error'].includes(level) && awaySince === undefined)
  expect(others.length, others.map(({ msg }) => msg).join(', ')).toBeLessThan(5)
})
