// What the operator can see of a sign-in or a connection that failed: one line in the log that says
// why and who can cure it, and in /readyz what only the operator can.
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, providerProblems } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { ProblemName } from '../../../src/sandbox/x/problems.ts'
import { connectAccount, endFaults, postFault } from '../../support/connected-account.ts'
import { findFreePort } from '../../support/free-port.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { selfSigned } from '../../support/self-signed.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(async () => {
  endFaults(world)
  await world.db().delete(providerProblems)
})
afterAll(() => world.close())

type Line = Record<string, unknown> & { msg: string }

/**
 * Returns the log lines about OAuth flows that failed or wait: those written during `work`, or from
 * `before` on.
 */
async function linesOf(work: () => Promise<unknown>, before = world.logs().length): Promise<Line[]> {
  await work()
  const lines = world.logs().slice(before).trimEnd().split('\n')
  return lines
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line))
    .filter(({ msg }) => /^A (sign-in|connection) (failed|waits)/.test(msg))
}

async function problems(): Promise<{ code: string; detail: string }[]> {
  const response = await world.browser().request('/readyz')
  expect(response.status).toBe(200)
  return ((await response.json()) as { problems: { code: string; detail: string }[] }).problems
}

async function listen(server: Server): Promise<number | undefined> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' ? address?.port : undefined
}

const codesOf = (list: { code: string }[]) => list.map(({ code }) => code)
const signIn = (login = 'mara-holt') => world.browser().signIn(login)
const said = (body: unknown): FaultKind => ({ kind: 'malformed', body: JSON.stringify(body) })
const TOKEN_PATH = '/login/oauth/access_token'
const PROFILE_PATH = '/user'

type Expected = { errorCode: string; providerCode?: string; httpStatus?: number; socketReason?: string; fault: string }
const LEVELS: Record<string, string> = { PERSON: 'info', PROVIDER: 'warn', OPERATOR: 'error' }

function expectLine(lines: Line[], { fault, errorCode, ...rest }: Expected): void {
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({
    level: LEVELS[fault],
    providerCode: null,
    httpStatus: null,
    socketReason: null,
    ...rest,
    errorCode,
    fault,
  })
}

describe('a failed sign-in is one log line', () => {
  const allowList =
    'Although you appear to have the correct authorization credentials, the organization has an IP allow list enabled, and your IP address is not permitted to access this resource.'
  test.each<[string, string, FaultKind, Expected]>([
    [
      'a code that is not taken',
      TOKEN_PATH,
      said({ error: 'bad_verification_code' }),
      { errorCode: 'CODE_REJECTED', providerCode: 'bad_verification_code', httpStatus: 200, fault: 'PERSON' },
    ],
    [
      'an error of no known name',
      TOKEN_PATH,
      said({ error: 'gho_0123456789012345678901234567890123456' }),
      { errorCode: 'CODE_REJECTED', providerCode: 'other', httpStatus: 200, fault: 'PERSON' },
    ],
    [
      'an app that is suspended',
      TOKEN_PATH,
      said({ error: 'application_suspended' }),
      { errorCode: 'GITHUB_APP_SUSPENDED', providerCode: 'application_suspended', httpStatus: 200, fault: 'OPERATOR' },
    ],
    [
      'a callback URL that is not registered',
      TOKEN_PATH,
      said({ error: 'redirect_uri_mismatch' }),
      {
        errorCode: 'GITHUB_REDIRECT_MISMATCH',
        providerCode: 'redirect_uri_mismatch',
        httpStatus: 200,
        fault: 'OPERATOR',
      },
    ],
    [
      'an outage',
      TOKEN_PATH,
      { kind: 'status', status: 503 },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 503, fault: 'PROVIDER' },
    ],
    [
      'silence',
      TOKEN_PATH,
      { kind: 'hang' },
      { errorCode: 'GITHUB_UNAVAILABLE', socketReason: 'TIME_OUT', fault: 'PROVIDER' },
    ],
    [
      'a connection that is cut',
      TOKEN_PATH,
      { kind: 'dropBefore' },
      { errorCode: 'GITHUB_UNAVAILABLE', socketReason: 'RESET', fault: 'PROVIDER' },
    ],
    [
      'a redirect',
      TOKEN_PATH,
      { kind: 'redirect', status: 302, location: '/elsewhere' },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 302, socketReason: 'RESPONSE_NOT_ALLOWED', fault: 'PROVIDER' },
    ],
    [
      'an outage of the API',
      PROFILE_PATH,
      { kind: 'status', status: 502 },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 502, fault: 'PROVIDER' },
    ],
    [
      'an IP allow list',
      PROFILE_PATH,
      { kind: 'status', status: 403, body: { message: allowList } },
      { errorCode: 'GITHUB_API_FORBIDDEN', httpStatus: 403, fault: 'OPERATOR' },
    ],
    [
      'a rate limit by its header',
      PROFILE_PATH,
      { kind: 'status', status: 403, body: { message: 'No' }, headers: { 'x-ratelimit-remaining': '0' } },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 403, fault: 'PROVIDER' },
    ],
    [
      'a secondary rate limit',
      PROFILE_PATH,
      { kind: 'status', status: 403, body: { message: 'You have exceeded a secondary rate limit.' } },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 403, fault: 'PROVIDER' },
    ],
    [
      'a block page',
      PROFILE_PATH,
      { kind: 'malformed', status: 403, body: '<html>', contentType: 'text/html' },
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 403, fault: 'PROVIDER' },
    ],
    [
      'no profile in the response',
      PROFILE_PATH,
      said({ login: 'mara-holt' }),
      { errorCode: 'GITHUB_UNAVAILABLE', httpStatus: 200, fault: 'PROVIDER' },
    ],
  ])('for %s', async (_what, path, fault, expected) => {
    world.sandbox.control.inject({ match: { path }, ...fault })
    const lines = await linesOf(async () =>
      expect(await signIn()).toMatchObject({ outcome: 'failed', code: expected.errorCode }),
    )
    expectLine(lines, expected)
    const newest = await world
      .db()
      .query.connectAttempts.findFirst({ orderBy: (table, { desc }) => desc(table.createdAt) })
    expect(lines[0]?.attemptId).toBe(newest?.id)
    expect(codesOf(await problems())).toEqual(expected.fault === 'OPERATOR' ? [expected.errorCode] : [])
    expect(JSON.stringify(lines)).not.toMatch(/gho_0123|IP allow list enabled/)
  })

  test('for an unverified e-mail address, and the user is told to verify it', async () => {
    world.sandbox.control.setGithubPerson('tomasz-k', { emailVerified: false })
    const lines = await linesOf(async () =>
      expect(await signIn('tomasz-k')).toMatchObject({ code: 'GITHUB_EMAIL_UNVERIFIED' }),
    )
    world.sandbox.control.setGithubPerson('tomasz-k', { emailVerified: true })
    expectLine(lines, {
      errorCode: 'GITHUB_EMAIL_UNVERIFIED',
      providerCode: 'unverified_user_email',
      httpStatus: 200,
      fault: 'PERSON',
    })
    expect(await signIn('tomasz-k')).toMatchObject({ outcome: 'succeeded' })
  })

  test('for an account that GitHub has suspended', async () => {
    world.sandbox.control.setGithubPerson('tomasz-k', { suspended: true })
    const lines = await linesOf(() => signIn('tomasz-k'))
    world.sandbox.control.setGithubPerson('tomasz-k', { suspended: false })
    expectLine(lines, { errorCode: 'GITHUB_ACCOUNT_SUSPENDED', httpStatus: 403, fault: 'PERSON' })
  })

  test('for an API that does not exist at GITHUB_API_URL', async () => {
    const { github } = world.config
    await world.restart({ github: { ...github, apiUrl: `${world.sandbox.url}/api/v3` } })
    const lines = await linesOf(() => signIn())
    expectLine(lines, { errorCode: 'GITHUB_API_NOT_FOUND', httpStatus: 404, fault: 'OPERATOR' })
    expect(await problems()).toMatchObject([
      { code: 'GITHUB_API_NOT_FOUND', detail: expect.stringContaining('GITHUB_API_URL') },
    ])
    await world.restart({ github })
    // The next sign-in proves that it is there.
    await signIn()
    expect(await problems()).toEqual([])
  })

  test('for an unknown host name, a closed port, and TLS failures', async () => {
    const { github } = world.config
    const plain = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const untrusted = createTlsServer(selfSigned)
    const ports = await Promise.all([listen(plain), listen(untrusted)])
    const places: [url: string, reason: string][] = [
      ['https://github.invalid', 'DNS'],
      [`http://127.0.0.1:${await findFreePort()}`, 'REFUSED'],
      [`https://127.0.0.1:${ports[0]}`, 'TLS'],
      [`https://127.0.0.1:${ports[1]}`, 'CERTIFICATE'],
    ]
    try {
      for (const [url, socketReason] of places) {
        const person = world.browser()
        const start = await person.request('/auth/github')
        const callback = new URL(await person.consent(start.headers.get('location') ?? '', 'mara-holt'))
        // It names the address before the change.
        callback.searchParams.delete('iss')
        await world.restart({ github: { ...github, url } })
        const lines = await linesOf(() => person.finish(callback.href))
        expectLine(lines, { errorCode: 'GITHUB_UNAVAILABLE', socketReason, fault: 'OPERATOR' })
        await world.restart({ github })
      }
    } finally {
      if (world.config.github !== github) await world.restart({ github })
      plain.close()
      untrusted.close()
    }
  })

  test('for a browser that cancels, or presents an unknown attempt', async () => {
    const person = world.browser()
    const start = await person.request('/auth/github')
    const denied = await person.consent(start.headers.get('location') ?? '', 'mara-holt', 'deny')
    expectLine(await linesOf(() => person.finish(denied)), {
      errorCode: 'ACCESS_DENIED',
      providerCode: 'access_denied',
      fault: 'PERSON',
    })
    expectLine(await linesOf(() => world.browser().finish('/auth/github/callback?state=x&code=y')), {
      errorCode: 'ATTEMPT_UNKNOWN',
      fault: 'PERSON',
    })
  })
})

test('an error code that only the browser reported is shown to the user and blames nobody', async () => {
  world.sandbox.control.setGithubAppSuspended(true)
  const lines = await linesOf(async () => expect(await signIn()).toMatchObject({ code: 'GITHUB_APP_SUSPENDED' }))
  world.sandbox.control.setGithubAppSuspended(false)
  expectLine(lines, { errorCode: 'GITHUB_APP_SUSPENDED', providerCode: 'application_suspended', fault: 'PERSON' })
  expect(await problems()).toEqual([])
})

describe('a failed connection is one log line, with its attempt', () => {
  const oauth = (status: number, error: string, description: string): FaultKind => ({
    kind: 'status',
    status,
    body: { error, error_description: description },
  })
  test.each<[string, FaultKind, Expected]>([
    [
      'a callback URL that X does not take',
      { kind: 'problem', name: 'wrong-redirect' },
      { errorCode: 'X_REDIRECT_MISMATCH', providerCode: 'invalid_request', httpStatus: 400, fault: 'OPERATOR' },
    ],
    [
      'credentials that X rejects',
      { kind: 'problem', name: 'unauthorized-client' },
      { errorCode: 'X_CREDENTIALS_REJECTED', providerCode: 'unauthorized_client', httpStatus: 401, fault: 'OPERATOR' },
    ],
    [
      'a code that came too late',
      { kind: 'problem', name: 'invalid-code' },
      { errorCode: 'CODE_REJECTED', providerCode: 'invalid_request', httpStatus: 400, fault: 'PERSON' },
    ],
    [
      'an error of no known name',
      oauth(400, 'a_token_0123456789', 'x'),
      { errorCode: 'CODE_REJECTED', providerCode: 'other', httpStatus: 400, fault: 'PERSON' },
    ],
    [
      'an outage',
      { kind: 'problem', name: 'temporarily-unavailable' },
      { errorCode: 'X_UNAVAILABLE', httpStatus: 503, fault: 'PROVIDER' },
    ],
    ['silence', { kind: 'hang' }, { errorCode: 'X_UNAVAILABLE', socketReason: 'TIME_OUT', fault: 'PROVIDER' }],
  ])('for %s', async (_what, fault, expected) => {
    const person = await world.signedIn()
    const { authorizationUrl, connectAttempt: attempt } = await person.startXConnect()
    const callback = await person.consent(authorizationUrl ?? '', 'maraholt')
    world.sandbox.control.inject({ match: { path: '/2/oauth2/token' }, ...fault })
    const lines = await linesOf(async () =>
      expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: expected.errorCode }),
    )
    expectLine(lines, expected)
    expect(lines[0]).toMatchObject({ attemptId: attempt?.id, userId: expect.any(String) })
    expect(codesOf(await problems())).toEqual(expected.fault === 'OPERATOR' ? [expected.errorCode] : [])
    // The next connection that succeeds proves that it is solved.
    expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
    expect(await problems()).toEqual([])
  })
})

describe('a connection that has waited for X', () => {
  /** Approved as this account, at an X that limits its app; the time has come to ask again. */
  async function wait(username: string, input: Record<string, unknown> = {}) {
    world.sandbox.control.addAccount(username)
    const person = await world.signedIn()
    const path = '/2/users/me'
    world.sandbox.control.inject({ kind: 'problem', name: 'too-many-requests', times: null, match: { path } })
    const lines = await linesOf(async () =>
      expect(await person.connect(username, input)).toMatchObject({ outcome: 'waiting', code: 'X_RATE_LIMITED' }),
    )
    expect(lines).toMatchObject([
      { msg: 'A connection waits for X', errorCode: 'X_RATE_LIMITED', attemptId: expect.any(String) },
    ])
    endFaults(world)
    world.advance(901)
    return lines[0]?.attemptId
  }
  const statusOf = async (id: unknown) =>
    (await world.db().query.connectAttempts.findFirst({ where: (table, { eq }) => eq(table.id, String(id)) }))?.status

  test('and is refused by a job is one log line, like one that is refused at once', async () => {
    const attemptId = await wait('refused_later', { expectedUsername: 'somebody_else' })
    const start = world.logs().length
    await sweepNow(world)
    await expect.poll(() => world.logs().slice(start), { timeout: 20_000 }).toContain('A connection failed')
    await sweepNow(world)
    const lines = await linesOf(async () => {}, start)
    expectLine(lines, { errorCode: 'WRONG_ACCOUNT', fault: 'PERSON' })
    expect(lines[0]).toMatchObject({ msg: 'A connection failed', attemptId, userId: expect.any(String) })
    expect(await statusOf(attemptId)).toBe('FAILED')
  })

  test('and still fails logs what it waits for and who can fix it', async () => {
    const attemptId = await wait('waits_on')
    const start = world.logs().length
    const path = '/2/users/me'
    world.sandbox.control.inject({ kind: 'problem', name: 'credits-depleted', times: null, match: { path } })
    await sweepNow(world)
    await expect.poll(() => world.logs().slice(start), { timeout: 20_000 }).toContain('A connection waits')
    const lines = await linesOf(async () => {}, start)
    expectLine(lines, { errorCode: 'X_CREDITS_EXHAUSTED', fault: 'OPERATOR' })
    expect(lines[0]).toMatchObject({ attemptId, msg: expect.stringMatching(/^A connection waits for X: /) })
    await expect.poll(async () => codesOf(await problems())).toEqual(['X_CREDITS_EXHAUSTED'])
    endFaults(world)
    world.advance(3_601)
    // Made in the end: nothing failed.
    const made = world.logs().length
    await sweepNow(world)
    await expect.poll(() => statusOf(attemptId), { timeout: 20_000 }).toBe('SUCCEEDED')
    expect(await linesOf(async () => {}, made)).toEqual([])
    await expect.poll(problems).toEqual([])
  })

  test('or was abandoned by a killed process is one log line too', async () => {
    const person = await world.signedIn()
    const { connectAttempt: attempt } = await person.startXConnect()
    const taken = { takenAt: new Date(world.sandbox.control.now() - 1_000_000), verifierSealed: null }
    await world
      .db()
      .update(connectAttempts)
      .set(taken)
      .where(eq(connectAttempts.id, attempt?.id ?? ''))
    const lines = await linesOf(() => sweepNow(world))
    expectLine(lines, { errorCode: 'X_UNAVAILABLE', fault: 'PROVIDER' })
    expect(lines[0]).toMatchObject({ attemptId: attempt?.id })
    expect(await linesOf(() => sweepNow(world))).toEqual([])
  })
})

describe('a problem stands in /readyz until X has accepted a call', () => {
  test.each<[string, ProblemName, string]>([
    ['used-up credits', 'credits-depleted', 'X_CREDITS_EXHAUSTED'],
    ['an app that is not enrolled', 'client-not-enrolled', 'X_APP_NOT_ENROLLED'],
    ['an app that may only read', 'app-read-only', 'X_APP_READ_ONLY'],
    ['an app that is suspended', 'app-suspended', 'X_APP_SUSPENDED'],
  ])('%s', async (_what, name, code) => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'problem', name }))
    expect((await account.post()).userErrors).toMatchObject([{ code }])
    world.advance(3_600)
    expect(codesOf(await problems())).toEqual([code])
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(await problems()).toEqual([])
  })
})
