// The database is unavailable in every way that servers, poolers and networks have: requests get
// 503, streams wait, and everything works again afterwards.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { openPostgres, openSingleConnection } from '../../src/db/client.ts'
import { isDatabaseOutage } from '../../src/db/outage.ts'
import { connectAttempts } from '../../src/db/tables.ts'
import { cookieOf } from '../support/browser.ts'
import { connectAccount } from '../support/connected-account.ts'
import { openStream } from '../support/event-stream.ts'
import { findFreePort } from '../support/free-port.ts'
import { startWorld, type World } from '../support/harness.ts'
import { openInstance } from '../support/instance.ts'
import { createDatabase, createRole } from '../support/postgres-databases.ts'
import { sweepNow } from '../support/sweep.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const OUTAGE = 'The database does not respond. Try again shortly.'

async function openWorldOfRole() {
  const { adminUrl } = inject('postgres')
  const database = await createDatabase(inject('postgres'))
  const role = await createRole({ adminUrl }, database)
  const admin = openSingleConnection(adminUrl)
  // The privileges of the tables' owner, without a superuser's exemption from limits.
  await admin.unsafe(`grant postgres to ${role.name}`)
  const world = await startWorld({ DATABASE_URL: role.url })
  onTestFinished(async () => {
    await world.close()
    await database.drop()
    await admin.unsafe(`drop owned by ${role.name}`)
    await admin.end()
    await role.drop()
  })
  const endSessions = () =>
    admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${database.name}`
  return { world, admin, role, database, endSessions }
}

async function ask(world: World, headers: Record<string, string>) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...headers },
    body: JSON.stringify({ query: '{ viewer { login } }' }),
  })
  const body = (await response.json()) as { data?: unknown; errors?: { message: string }[] }
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    message: body.errors?.[0]?.message,
  }
}

test.each<[string, (role: string, database: string) => [away: string, back: string]]>([
  // 53300
  [
    'has no connection left for the role',
    (role) => [`alter role ${role} connection limit 0`, `alter role ${role} connection limit -1`],
  ],
  // 28000
  ['no longer lets the role log in', (role) => [`alter role ${role} nologin`, `alter role ${role} login`]],
  // 55000
  [
    'takes no connections to this database',
    (_, database) => [
      `alter database ${database} allow_connections false`,
      `alter database ${database} allow_connections true`,
    ],
  ],
  // 28P01
  [
    'has been given another password',
    (role) => [`alter role ${role} valid until '2000-01-01'`, `alter role ${role} valid until 'infinity'`],
  ],
])('a server that %s is away', async (_, statements) => {
  const { world, admin, role, database, endSessions } = await openWorldOfRole()
  const person = await world.signedIn('mara-holt')
  const stream = await openStream(world.url, cookieOf(person))
  const [away, back] = statements(role.name, database.name)
  await admin.unsafe(away)
  await endSessions()
  for (const headers of [cookieOf(person), {}] as Record<string, string>[]) {
    await vi.waitFor(
      async () => expect(await ask(world, headers)).toEqual({ status: 503, retryAfter: '5', message: OUTAGE }),
      { timeout: 60_000 },
    )
  }
  expect((await person.request('/readyz')).status).toBe(503)
  expect((await person.request('/healthz')).status).toBe(200)
  await admin.unsafe(back)
  await vi.waitFor(async () => expect((await ask(world, cookieOf(person))).status).toBe(200), {
    timeout: 60_000,
    interval: 200,
  })
  // The stream has waited, and goes on.
  await person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
  await world.signedIn('mara-holt')
  await vi.waitFor(() => expect(stream.types().length).toBeGreaterThan(0), { timeout: 60_000, interval: 100 })
  expect(stream.messages).toEqual([])
  await stream.hangUp()
})

test('the direct route of GraphQL reports a database that is away as the router does', async () => {
  const { world, admin, role, endSessions } = await openWorldOfRole()
  const person = await world.signedIn('mara-holt')
  const input = { name: 'a program', scopes: ['accounts:read'] }
  const { createApiToken } = await person.api('create-api-token', { input })
  await admin.unsafe(`alter role ${role.name} connection limit 0`)
  await endSessions()
  await vi.waitFor(async () => expect((await ask(world, cookieOf(person))).status).toBe(503))
  const report = async (path: string, headers: Record<string, string>) => {
    const requestId = randomBytes(8).toString('hex')
    const logged = world.logs().length
    const response = await fetch(`${world.url}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'sec-fetch-site': 'same-origin',
        'x-request-id': requestId,
        ...headers,
      },
      body: JSON.stringify({ query: '{ viewer { login } }' }),
    })
    const { date, ...received } = Object.fromEntries(response.headers)
    const body = (await response.text()).replaceAll(requestId, 'its id')
    const lines = world
      .logs()
      .slice(logged)
      .split('\n')
      .filter((line) => line.includes(requestId))
      .map((line) => JSON.parse(line))
      .map(({ level, msg, status, error }) => ({
        level,
        msg,
        status,
        cause: error?.cause?.errorCode ?? error?.errorCode,
      }))
    return {
      status: response.status,
      headers: { ...received, 'x-request-id': received['x-request-id'] === requestId },
      body,
      lines,
    }
  }
  for (const headers of [cookieOf(person), { authorization: `Bearer ${createApiToken.secret}` }]) {
    // A path with a query string is the router's.
    const [byRoute, byRouter] = [await report('/graphql', headers), await report('/graphql?', headers)]
    expect(byRoute).toEqual(byRouter)
    expect(byRoute).toMatchObject({ status: 503, headers: { 'retry-after': '5', 'x-request-id': true } })
    expect(JSON.parse(byRoute.body).errors[0]).toMatchObject({
      message: OUTAGE,
      extensions: { code: 'DATABASE_UNAVAILABLE' },
    })
    expect(byRoute.lines).toEqual([
      expect.objectContaining({ msg: 'A request failed with an internal error', cause: '53300' }),
      expect.objectContaining({ msg: 'request', status: 503 }),
    ])
  }
})

describe('a server that goes away during a connect, after X has issued the tokens', () => {
  const path = '/2/oauth2/token'

  test.each(['while the user waits', 'after the response with 503'])(
    'and is back %s: the tokens are kept',
    { timeout: 80_000 },
    async (when) => {
      const { world, admin, role, endSessions } = await openWorldOfRole()
      const { control } = world.sandbox
      const account = await connectAccount(world)
      const { authorizationUrl, connectAttempt: attempt } = await account.person.startXConnect({
        reconnectAccountId: account.id,
      })
      const callback = await account.person.consent(authorizationUrl ?? '', account.username)
      const [calls, exchanges] = [control.countReceived({ path }), control.countTokenCalls('authorization_code')]
      // X has used up the account's earlier refresh token before the database goes away, and its
      // response arrives afterwards.
      control.inject({ kind: 'delayAfter', milliseconds: 3_000, match: { path } })
      const finishing = account.person.request(callback)
      await expect.poll(() => control.countReceived({ path }), { interval: 5, timeout: 15_000 }).toBe(calls + 1)
      await admin.unsafe(`alter role ${role.name} nologin`)
      await endSessions()
      const purpose = 'store the token pair of a connect attempt'
      await expect.poll(() => world.logs(), { timeout: 60_000 }).toContain(`Retrying to ${purpose}`)
      if (when === 'after the person was told 503') expect((await finishing).status).toBe(503)
      await admin.unsafe(`alter role ${role.name} login`)
      if (when === 'while the user waits')
        expect((await finishing).headers.get('location')).toContain('xConnect=connected')
      await vi.waitFor(async () => expect((await account.person.request('/readyz')).status).toBe(200), {
        timeout: 60_000,
        interval: 200,
      })
      const find = async () => (await world.db().select().from(connectAttempts)).find(({ id }) => id === attempt?.id)
      // The row that the callback could not write is written by now, and a job finishes the
      // connect.
      await expect
        .poll(async () => ((await find())?.tokensSealed ?? null) !== null || (await find())?.status === 'SUCCEEDED', {
          timeout: 30_000,
        })
        .toBe(true)
      world.advance(121)
      await sweepNow(world)
      await expect.poll(async () => (await find())?.status, { timeout: 30_000 }).toBe('SUCCEEDED')
      expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
      expect(await account.storedRefreshToken()).toBe(account.grant().refreshToken)
      expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
      expect(control.countTokenCalls('authorization_code') - exchanges).toBe(1)
      expect(control.grants(account.username).filter(({ live }) => live)).toHaveLength(1)
      expect(world.logs()).not.toContain('The tokens of a connection are lost')
    },
  )
})

test.each<[string, () => Promise<string>]>([
  // ENOTFOUND, or EAI_AGAIN without a resolver.
  ['whose host name is unknown', async () => 'postgres://u:p@nowhere.invalid/x'],
  ['at whose port no server listens', async () => `postgres://u:p@127.0.0.1:${await findFreePort()}/x`],
  // EHOSTUNREACH, ENETUNREACH or a timeout.
  ['that is not routable', async () => 'postgres://u:p@240.0.0.1/x?connect_timeout=2'],
  [
    'whose socket is gone',
    async () => {
      const directory = await makeTemporaryDirectory('socket')
      onTestFinished(() => directory.remove())
      return `postgres://u:p@/x?host=${join(directory.path, 'gone')}`
    },
  ],
  [
    'none of whose hosts is reachable',
    async () => `postgres://u:p@127.0.0.1:${await findFreePort()},nowhere.invalid/x`,
  ],
])('a server %s is away', async (_, findUrl) => {
  const url = await findUrl()
  const world = await startWorld()
  onTestFinished(() => world.close())
  const away = openPostgres(url)
  onTestFinished(() => away.close())
  const instance = openInstance({ ...world, config: world.config, database: () => away })
  const response = await instance.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({ query: '{ viewer { login } }' }),
  })
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await response.text()).toContain(OUTAGE)
  expect((await instance.request('/auth/github')).status).toBe(503)
  await instance.close()
})

test.each([
  // The errors of different poolers.
  { code: '08P01', severity_local: 'FATAL', message: 'no more connections allowed (max_client_conn)' },
  { code: '08P01', severity_local: 'FATAL', message: 'query_wait_timeout' },
  { code: 'XX000', severity: 'FATAL', message: 'Max client connections reached' },
  { code: '57P01', severity: 'FATAL', message: 'terminating connection due to administrator command' },
  { code: '57P05', severity: 'FATAL', message: 'terminating connection due to idle-session timeout' },
  { code: '53200', severity: 'ERROR', message: 'out of memory' },
  { code: '25006', severity: 'ERROR', message: 'cannot execute INSERT in a read-only transaction' },
  { code: 'EHOSTUNREACH', message: 'connect EHOSTUNREACH' },
  { code: 'ETIMEDOUT', message: 'connect ETIMEDOUT' },
  { code: 'EAI_AGAIN', message: 'getaddrinfo EAI_AGAIN' },
  { code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND' },
])('$code is an outage ($message), as the cause of an error too', (fields) => {
  const error = Object.assign(new Error(fields.message), fields)
  expect(isDatabaseOutage(error)).toBe(true)
  expect(isDatabaseOutage(new Error('Failed query', { cause: error }))).toBe(true)
})

test.each([
  { code: '23505', severity: 'ERROR' },
  { code: '42P01', severity: 'ERROR' },
  { code: '22P02', severity: 'ERROR' },
  { code: '40P01', severity: 'ERROR' },
  { code: 'ENOENT', message: 'no such file' },
  { code: 'COMMIT_ROLLED_BACK' },
  { code: randomBytes(4).toString('hex') },
])('$code is not an outage', (fields) => {
  expect(isDatabaseOutage(Object.assign(new Error('x'), fields))).toBe(false)
})
