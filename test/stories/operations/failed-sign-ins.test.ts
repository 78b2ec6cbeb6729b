import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { providerProblems } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import { endFaults } from '../../support/connected-account.ts'
import { codesOf, type ExpectedLine, expectLine, linesOf, problemsOf } from '../../support/flow-log.ts'
import { findFreePort } from '../../support/free-port.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { listenLocally } from '../../support/local-server.ts'
import { selfSigned } from '../../support/self-signed.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(async () => {
  endFaults(world)
  await world.db().delete(providerProblems)
})
afterAll(() => world.close())

const signIn = (login = 'mara-holt') => world.browser().signIn(login)
const said = (body: unknown): FaultKind => ({ kind: 'malformed', body: JSON.stringify(body) })
const TOKEN_PATH = '/login/oauth/access_token'
const PROFILE_PATH = '/user'

describe('a failed sign-in is one log line', () => {
  const allowList =
    'Although you appear to have the correct authorization credentials, the organization has an IP allow list enabled, and your IP address is not permitted to access this resource.'
  test.each<[string, string, FaultKind, ExpectedLine]>([
    [
      'a code that is not accepted',
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
    const lines = await linesOf(world, async () =>
      expect(await signIn()).toMatchObject({ outcome: 'failed', code: expected.errorCode }),
    )
    expectLine(lines, expected)
    const newest = await world
      .db()
      .query.signInAttempts.findFirst({ orderBy: (table, { desc }) => desc(table.createdAt) })
    expect(lines[0]?.attemptId).toBe(newest?.id)
    expect(codesOf(await problemsOf(world))).toEqual(expected.fault === 'OPERATOR' ? [expected.errorCode] : [])
    expect(JSON.stringify(lines)).not.toMatch(/gho_0123|IP allow list enabled/)
  })

  test('for an unverified e-mail address, and the user is told to verify it', async () => {
    world.sandbox.control.setGithubPerson('tomasz-k', { emailVerified: false })
    const lines = await linesOf(world, async () =>
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
    const lines = await linesOf(world, () => signIn('tomasz-k'))
    world.sandbox.control.setGithubPerson('tomasz-k', { suspended: false })
    expectLine(lines, { errorCode: 'GITHUB_ACCOUNT_SUSPENDED', httpStatus: 403, fault: 'PERSON' })
  })

  test('for an API that does not exist at GITHUB_API_URL', async () => {
    const { github } = world.config
    await world.restart({ github: { ...github, apiUrl: `${world.sandbox.url}/api/v3` } })
    const lines = await linesOf(world, () => signIn())
    expectLine(lines, { errorCode: 'GITHUB_API_NOT_FOUND', httpStatus: 404, fault: 'OPERATOR' })
    expect(await problemsOf(world)).toMatchObject([
      { code: 'GITHUB_API_NOT_FOUND', detail: expect.stringContaining('GITHUB_API_URL') },
    ])
    await world.restart({ github })
    // The next successful sign-in shows that the problem is solved.
    await signIn()
    expect(await problemsOf(world)).toEqual([])
  })

  test('for an unknown host name, a closed port, and TLS failures', async () => {
    const { github } = world.config
    const plain = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const untrusted = createTlsServer(selfSigned)
    const ports = await Promise.all([listenLocally(plain), listenLocally(untrusted)])
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
        // The issuer is the URL before the change.
        callback.searchParams.delete('iss')
        await world.restart({ github: { ...github, url } })
        const lines = await linesOf(world, () => person.finish(callback.href))
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
    expectLine(await linesOf(world, () => person.finish(denied)), {
      errorCode: 'ACCESS_DENIED',
      providerCode: 'access_denied',
      fault: 'PERSON',
    })
    expectLine(await linesOf(world, () => world.browser().finish('/auth/github/callback?state=x&code=y')), {
      errorCode: 'ATTEMPT_UNKNOWN',
      fault: 'PERSON',
    })
  })
})

test('an error code that only the browser delivered is shown to the user, and is not logged as the operator’s problem', async () => {
  world.sandbox.control.setGithubAppSuspended(true)
  const lines = await linesOf(world, async () => expect(await signIn()).toMatchObject({ code: 'GITHUB_APP_SUSPENDED' }))
  world.sandbox.control.setGithubAppSuspended(false)
  expectLine(lines, { errorCode: 'GITHUB_APP_SUSPENDED', providerCode: 'application_suspended', fault: 'PERSON' })
  expect(await problemsOf(world)).toEqual([])
})
