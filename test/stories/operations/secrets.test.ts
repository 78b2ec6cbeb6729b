// Some hundreds of secrets pass through every flow and every failure. Afterwards no row, file, log
// line or response may contain one.
import { isNotNull, sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { connectAttempts } from '../../../src/db/tables.ts'
import type { Fault } from '../../../src/sandbox/control/faults.ts'
import type { Browser, ReceivedResponse } from '../../support/browser.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  postFault,
  queryRows,
  refreshFault,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
} from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { readEveryFile, readEveryRow } from '../../support/dump.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

// X's longest wait is its window of a quarter of an hour.
const UNTIL_WAITED_SECONDS = 960

test('E-01 E-08 T-09 two hundred secrets appear neither in the database nor in its files nor in the log', async () => {
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' }, { ...impatient, interactiveRetrySeconds: 6 })
  try {
    const secrets = new Secrets(world)
    const person = await world.signedIn()
    const responses = person.keepResponses()
    await goThroughEverything(world, person, secrets)

    secrets.collect(person)
    expect(secrets.values.size).toBeGreaterThan(200)
    const searched = [...secrets.values]
    // These texts are present: otherwise the test might search the wrong places.
    const stored = await readEveryRow(world)
    expect(stored.includes('maraholt')).toBe(true)
    expect(world.logs().includes('X did not report whether it posted a tweet')).toBe(true)

    // The state of a connect attempt begins with the user's id, which is not secret.
    const parts = searched.map((secret) => secret.replace(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\./, ''))
    expect(parts.filter((part) => stored.includes(part))).toEqual([])
    // A message may quote the beginning of a text that could not be parsed.
    const quoted = parts.filter((part) => part.length > 40).map((part) => part.slice(0, 8))
    expect([...parts, ...quoted].filter((part) => world.logs().includes(part))).toEqual([])
    expect(findInResponses(responses, searched, secrets.shown)).toEqual([])
    expect(findInAddresses(world, searched, secrets.states)).toEqual([])

    await world.restart()
    const files = readEveryFile(world.config.dataDir)
    if (databaseKind() === 'pglite') expect(files.includes('maraholt')).toBe(true)
    expect(parts.filter((part) => files.includes(part))).toEqual([])
  } finally {
    await world.close()
  }
})

class Secrets {
  readonly values = new Set<string>()
  readonly states = new Set<string>()
  /** The secrets that belong in one response: the states, and those that are shown once. */
  readonly shown = new Set<string>()
  readonly world: World

  constructor(world: World) {
    this.world = world
    const { config } = world
    for (const { secret } of config.encryptionKeys)
      for (const encoding of ['base64', 'base64url', 'hex'] as const) this.values.add(secret.toString(encoding))
    this.values.add(config.github.clientSecret)
    this.values.add(config.x.clientSecret ?? '')
  }

  /**
   * Collects the secrets so far. Only live tokens are visible: call it before each step that
   * replaces them.
   */
  collect(person: Browser): void {
    const { control } = this.world.sandbox
    for (const { accessTokens, refreshToken } of control.grants())
      for (const token of [...accessTokens, refreshToken]) this.add(token)
    for (const { headers, body, query } of control.received()) {
      this.add(headers.authorization?.replace(/^\w+ /, ''))
      const fields = { ...query, ...(typeof body === 'object' ? body : {}) }
      for (const [name, value] of Object.entries(fields)) {
        if (['code', 'code_verifier', 'refresh_token', 'token', 'client_secret'].includes(name)) this.add(value)
        if (name === 'state') {
          this.add(value)
          this.states.add(String(value))
          this.shown.add(String(value))
        }
      }
    }
    for (const value of person.cookies.values()) this.add(value)
  }

  shownOnce(value: string): void {
    this.add(value)
    this.shown.add(value)
  }

  add(value: unknown): void {
    if (typeof value === 'string' && value.length >= 16) this.values.add(value)
  }
}

/** Returns the number of accounts that a job has still to check. */
async function countChecks(world: World): Promise<number> {
  const open = sql`select from pgboss.job where name = 'check-connection' and state in ('created', 'retry', 'active')`
  return (await queryRows(world, open)).length
}

async function goThroughEverything(world: World, person: Browser, secrets: Secrets): Promise<void> {
  const { control } = world.sandbox
  const meet = (...faults: Fault[]) => faults.map((fault) => control.inject(fault))
  const echo = (secret: string) => ({ error: secret, error_description: `No ${secret} here`, error_uri: secret })
  const accounts: ConnectedAccount[] = [await connectAccount(world, { person })]
  await person.connect('maraholt')
  await createSecretsShownOnce(person, secrets)

  // Connecting, with every outcome.
  for (const [path, fault, outcome] of [
    ['/2/oauth2/token', { kind: 'problem', name: 'invalid-code' }, 'failed'],
    ['/2/oauth2/token', { kind: 'status', status: 400, body: echo('client-secret-echo-0123456789abcdef') }, 'failed'],
    [
      '/2/oauth2/token',
      { kind: 'response', body: { error: 'odd' }, omit: ['access_token', 'refresh_token'] },
      'failed',
    ],
    ['/2/oauth2/token', { kind: 'cutHalfway' }, 'failed'],
    ['/2/users/me', { kind: 'problem', name: 'missing-scope' }, 'failed'],
    ['/2/users/me', { kind: 'problem', name: 'too-many-requests' }, 'waiting'],
    ['/2/users/me', { kind: 'dropAfter' }, 'connected'],
    ['/2/users/me', { kind: 'malformed' }, 'connected'],
  ] satisfies [string, Fault, string][]) {
    // After a lost response to the exchange a job checks the user's accounts, and would meet the
    // fault instead.
    await expect.poll(() => countChecks(world), { timeout: 20_000 }).toBe(0)
    meet({ ...fault, match: { path } })
    expect(await person.connect('tomasz_k')).toMatchObject({ outcome })
    secrets.collect(person)
  }
  const started = await person.startXConnect()
  const callback = await person.consent(started.authorizationUrl ?? '', 'tomasz_k')
  secrets.add(new URL(callback).searchParams.get('code'))
  await world.browser().finish(callback)
  await person.finish(callback)

  // A later approval has replaced the waiting connection. While it waits, no revocation is sent.
  world.advance(UNTIL_WAITED_SECONDS)
  await sweepNow(world)
  const waiting = () => world.db().$count(connectAttempts, isNotNull(connectAttempts.tokensSealed))
  await expect.poll(waiting, { timeout: 20_000 }).toBe(0)
  await expect.poll(() => countChecks(world), { timeout: 20_000 }).toBe(0)

  // Refreshing and posting, while X repeats the request in its responses.
  for (let number = 0; number < 30; number++) accounts.push(await connectAccount(world, { person }))
  secrets.collect(person)
  world.advance(UNTIL_ENDED_SECONDS)
  const faults: ((token: string) => Fault)[] = [
    (token) => refreshFault({ kind: 'status', status: 400, body: echo(token) }),
    (token) => refreshFault({ kind: 'status', status: 401, body: echo(token) }),
    (token) => refreshFault({ kind: 'status', status: 503, body: echo(token) }),
    (token) => refreshFault({ kind: 'status', status: 400, body: { error: token, error_description: [token] } }),
    (token) => refreshFault({ kind: 'malformed', body: `${token} is no JSON` }),
    (token) => refreshFault({ kind: 'malformed', status: 400, body: `${token} is no JSON` }),
    (token) => refreshFault({ kind: 'redirect', location: `http://127.0.0.1:9/?token=${token}` }),
    () => refreshFault({ kind: 'hang', act: true }),
    () => refreshFault({ kind: 'dropAfter' }),
    () => refreshFault({ kind: 'cutHalfway' }),
    () => refreshFault({ kind: 'problem', name: 'invalid-token' }),
  ]
  for (const fault of faults) {
    const account = accounts.pop()
    meet(fault(account?.grant().refreshToken ?? ''))
    await account?.post()
    secrets.collect(person)
  }
  for (const account of accounts.slice(0, 8)) await account.post()
  secrets.collect(person)
  const postFaults: ((token: string) => Fault)[] = [
    (token) => postFault({ kind: 'malformed', act: true, status: 201, body: `${token} is no JSON` }),
    (token) => postFault({ kind: 'malformed', status: 403, body: `${token} is no JSON` }),
    (token) => postFault({ kind: 'status', status: 403, body: { title: token, detail: token, type: `x/${token}` } }),
    (token) => postFault({ kind: 'status', status: 500, body: { title: token } }),
    (token) => postFault({ kind: 'redirect', location: `http://127.0.0.1:9/?token=${token}` }),
    (token) => postFault({ kind: 'response', body: { data: { id: token } } }),
    () => postFault({ kind: 'dropAfter' }),
  ]
  for (const fault of postFaults) {
    const account = accounts.shift()
    meet(fault(account?.grant().accessToken ?? ''))
    await account?.post()
  }

  // Tokens altered in the database, a refused revocation, and disconnecting.
  const [altered, moved, disconnected, due] = accounts
  const foreign = await moved?.tokens()
  await altered?.setTokens({ accessTokenSealed: foreign?.accessTokenSealed ?? '' })
  await altered?.post()
  meet({
    kind: 'status',
    status: 400,
    body: echo(disconnected?.grant().refreshToken ?? ''),
    match: { path: '/2/oauth2/revoke' },
  })
  await disconnected?.disconnect()
  world.advance(UNTIL_DUE_SECONDS)
  await due?.post()
  await expect.poll(() => control.faults().every(({ hits }) => hits > 0), { timeout: 15_000 }).toBe(true)

  // Signing in again, while GitHub repeats the request in its responses.
  for (const path of ['/login/oauth/access_token', '/user']) {
    meet({ kind: 'malformed', body: 'client_secret=sandbox-github-secret is no JSON', match: { path } })
    await person.signIn('mara-holt')
    secrets.collect(person)
  }
  await person.request('/graphql', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } })
  await person.api('connected-accounts', { includeDisconnected: true })
  await person.api('tweets', { first: 100 })
  endFaults(world)
}

// Creates an API token and a webhook endpoint, whose secrets are shown once, in these responses.
// Then sends the token in places where it does not belong.
async function createSecretsShownOnce(person: Browser, secrets: Secrets): Promise<void> {
  const { createApiToken } = await person.api('create-api-token', {
    input: { name: 'a program', scopes: ['accounts:read'] },
  })
  const token = createApiToken.secret ?? ''
  secrets.shownOnce(token)
  for (const authorization of [`Bearer ${token}`, `Basic ${token}`])
    await person.request(`/graphql?access_token=${token}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', 'x-request-id': token },
      body: '{"query":"{ viewer { login } }"}',
    })
  const { createWebhookEndpoint } = await person.api('create-webhook-endpoint', {
    input: { url: 'http://127.0.0.1:9/hook?key=only-the-receiver-knows-this' },
  })
  secrets.shownOnce(createWebhookEndpoint.secret ?? '')
}

// The session token belongs in Set-Cookie, and a state in the URL that starts an authorization.
function findInResponses(responses: ReceivedResponse[], searched: string[], shown: Set<string>): string[] {
  const text = responses
    .map(({ headers, body }) => {
      const kept = headers.filter(([name]) => name !== 'set-cookie')
      return `${kept.map((header) => header.join(': ')).join('\n')}\n${body}`
    })
    .join('\n')
  expect(text).toContain('code_challenge=')
  return searched.filter((secret) => !shown.has(secret) && text.includes(secret))
}

// The URLs in the providers' access logs. They contain the state of an authorization, and no other
// secret.
function findInAddresses(world: World, searched: string[], states: Set<string>): string[] {
  const received = world.sandbox.control.received()
  expect(received.length).toBeGreaterThan(100)
  const addresses = received.map(({ path, query }) => `${path}?${new URLSearchParams(query)}`).join('\n')
  return searched.filter((secret) => !states.has(secret) && addresses.includes(encodeURIComponent(secret)))
}
