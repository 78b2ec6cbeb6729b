import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'

test('K-07 two instances share one limit', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const environment = {
    ...database.environment,
    SANDBOX: 'off',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: 'github-app',
    GITHUB_CLIENT_SECRET: 'github-secret',
    X_CLIENT_ID: 'x-app',
    RATE_LIMITS: 'address=25/3600',
  }
  const ports = [await findFreePort(), await findFreePort()]
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const gateways = ports.map((port) => startGatewayProcess({ ...environment, PORT: String(port) }))
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))

  const responses = await Promise.all(
    Array.from({ length: 60 }, async (_, call) => {
      const response = await fetch(`${urls[call % 2]}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"query":"{viewer{id}}"}',
      })
      return { at: call % 2, status: response.status, left: response.headers.get('ratelimit')?.match(/r=(\d+)/)?.[1] }
    }),
  )
  const granted = responses.filter(({ status }) => status === 200)
  expect(granted).toHaveLength(25)
  expect(responses.filter(({ status }) => status === 429)).toHaveLength(35)
  // Each of the 25 was granted once, by one of the two.
  expect(new Set(granted.map(({ left }) => left)).size).toBe(25)
  expect(new Set(granted.map(({ at }) => at)).size).toBe(2)
})
