import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'

/** Starts this many gateways on one database, and returns their addresses. */
async function startGateways(resources: AsyncDisposableStack, instances: number, limits: string): Promise<string[]> {
  const database = resources.use(await createTestDatabase('postgres'))
  const environment = {
    ...database.environment,
    SANDBOX: 'off',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: 'github-app',
    GITHUB_CLIENT_SECRET: 'github-secret',
    X_CLIENT_ID: 'x-app',
    RATE_LIMITS: limits,
  }
  const ports = await Promise.all(Array.from({ length: instances }, () => findFreePort()))
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const gateways = ports.map((port) => startGatewayProcess({ ...environment, PORT: String(port) }))
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))
  return urls
}

/** Asks one instance, and returns the status and what remains by its header. */
async function ask(url = ''): Promise<{ status: number; left: number }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{viewer{id}}"}',
  })
  return { status: response.status, left: Number(response.headers.get('ratelimit')?.match(/r=(\d+)/)?.[1]) }
}

test('K-07 two instances share one limit', async () => {
  await using resources = new AsyncDisposableStack()
  const urls = await startGateways(resources, 2, 'address=25/3600')
  const askOne = async (at: number) => ({ at, ...(await ask(urls[at])) })
  // One after the other first: of two that are asked at once, a slow one may find nothing left.
  const responses = [await askOne(0), await askOne(1)]
  responses.push(...(await Promise.all(Array.from({ length: 58 }, (_, call) => askOne(call % 2)))))
  const granted = responses.filter(({ status }) => status === 200)
  expect(granted).toHaveLength(25)
  expect(responses.filter(({ status }) => status === 429)).toHaveLength(35)
  // Each of the 25 was granted once, by one of the two.
  expect(new Set(granted.map(({ left }) => left)).size).toBe(25)
  expect(new Set(granted.map(({ at }) => at)).size).toBe(2)
})

test('K-07 three instances that take slices grant a limit together, and no more', async () => {
  await using resources = new AsyncDisposableStack()
  const LIMIT = 200
  const urls = await startGateways(resources, 3, `address=${LIMIT}/360000`)
  const granted = [0, 0, 0]
  // Each asks until it is refused, all at once: then each has consumed its last slice.
  await Promise.all(
    urls.map(async (url, at) => {
      const worker = async () => {
        while ((await ask(url)).status === 200) granted[at] = (granted[at] ?? 0) + 1
      }
      await Promise.all(Array.from({ length: 4 }, worker))
    }),
  )
  expect(granted.reduce((sum, count) => sum + count)).toBe(LIMIT)
  for (const count of granted) expect(count).toBeGreaterThan(0)
  for (const url of urls) expect(await ask(url)).toEqual({ status: 429, left: 0 })
})
