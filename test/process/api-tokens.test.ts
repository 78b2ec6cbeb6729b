// API tokens in a deployment: created on the command line, valid at every gateway, and revoked at
// all of them at once.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createApiToken } from '../../src/auth/api-token.ts'
import { openPostgres } from '../../src/db/client.ts'
import { systemClock } from '../../src/db/clock.ts'
import { users } from '../../src/db/tables.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { xconnect } from '../support/xconnect.ts'

async function ask(url: string, secret: string, query = '{ viewer { login } }') {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query }),
  })
  return { status: response.status, body: await response.json() }
}

test('K-05 accepts a token at two gateways, and at neither once it is revoked at one', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const urls = [`http://127.0.0.1:${await findFreePort()}`, `http://127.0.0.1:${await findFreePort()}`] as const
  const environment = {
    ...database.environment,
    SANDBOX: 'off',
    PUBLIC_URL: urls[0],
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: 'github-app',
    GITHUB_CLIENT_SECRET: 'github-secret',
    X_CLIENT_ID: 'x-app',
    X_CLIENT_SECRET: 'x-secret',
  }
  const gateways = urls.map((url) => startGatewayProcess({ ...environment, PORT: new URL(url).port }))
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))
  const statuses = async (secret: string) => [(await ask(urls[0], secret)).status, (await ask(urls[1], secret)).status]

  // A user's token, which is found and revoked.
  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  const [user] = await opened.db.insert(users).values({ githubId: 7, login: 'mara-holt' }).returning()
  const { secret } = await createApiToken(
    { db: opened.db, clock: systemClock },
    { userId: user?.id ?? '' },
    { name: 'bot', scopes: ['tweets:read'], expiresInDays: null },
  )
  expect(await ask(urls[1], secret)).toEqual({ status: 200, body: { data: { viewer: { login: 'mara-holt' } } } })
  expect(await statuses(secret)).toEqual([200, 200])
  const revoked = await fetch(`${urls[0]}/auth/token/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ token: secret }),
  })
  expect(revoked.status).toBe(200)
  expect(await statuses(secret)).toEqual([401, 401])

  // An operator's token, created on the command line while the gateways serve.
  const made = await xconnect(environment, 'token', 'create', '--name', 'verifier', '--scopes', 'accounts:read')
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^xcg_[0-9A-Za-z]{55}\n$/) })
  const operators = made.stdout.trim()
  expect(await ask(urls[1], operators, '{ linkedUsers { edges { cursor } } }')).toEqual({
    status: 200,
    body: { data: { linkedUsers: { edges: [] } } },
  })
  expect((await ask(urls[1], operators, '{ tweets { edges { cursor } } }')).status).toBe(403)
  const listed = await xconnect(environment, 'token', 'list')
  expect(listed.stdout.trim().split('\n')).toEqual([expect.stringMatching(/ACTIVE .* accounts:read +verifier$/)])
  expect(listed.stdout).toContain(`${operators.slice(0, 8)}…${operators.slice(-4)}`)
  expect(listed.stdout + listed.stderr).not.toContain(operators.slice(4, 31))
  const id = listed.stdout.split(' ')[0] ?? ''
  expect(await xconnect(environment, 'token', 'revoke', id)).toMatchObject({
    code: 0,
    stderr: '"verifier" is revoked.\n',
  })
  expect(await statuses(operators)).toEqual([401, 401])
  expect((await xconnect(environment, 'token', 'list')).stdout).toContain('REVOKED')

  // The gateways have printed no part of the secrets.
  for (const { output } of gateways) {
    expect(output()).toContain('"path":"/graphql"')
    for (const value of [secret, operators]) expect(output()).not.toContain(value.slice(4, 31))
  }
})

test('xconnect token says what to do while a gateway uses the embedded database, and works afterwards', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('pglite'))
  const port = await findFreePort()
  const environment = { ...database.environment, PORT: String(port), SANDBOX_PORT: String(await findFreePort()) }
  const gateway = startGatewayProcess(environment)
  resources.defer(async () => void (await gateway.stop()))
  await gateway.ready(`http://127.0.0.1:${port}`)
  const create = () => xconnect(environment, 'token', 'create', '--name', 'v', '--scopes', 'events:read')
  expect(await create()).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^A gateway is running \(process \d+\).*Stop it, run this again, then start it/),
  })
  await gateway.stop()
  expect(await create()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^xcg_\w{55}\n$/) })
})
