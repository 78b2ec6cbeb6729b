import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { sessions, users } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import { isPerson } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

const TOKEN_PATH = '/login/oauth/access_token'
const PROFILE_PATH = '/user'

/** Signs in with this fault planted: it fails, and leaves neither a user nor a session. */
async function expectFailure(path: string, fault: FaultKind, code: string): Promise<void> {
  const person = world.browser()
  const { headers } = await person.request('/auth/github')
  const callback = await person.consent(headers.get('location') ?? '', 'mara-holt')
  world.sandbox.control.inject({ match: { path }, times: null, ...fault })
  expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code })
  expect(person.cookies.has('xconnect_session')).toBe(false)
  expect(await world.db().$count(users, isPerson)).toBe(0)
  expect(await world.db().$count(sessions)).toBe(0)
  const stateHash = sha256(new URL(callback).searchParams.get('state') ?? '')
  const attempt = await world
    .db()
    .query.signInAttempts.findFirst({ where: (table, { eq }) => eq(table.stateHash, stateHash) })
  expect(attempt).toMatchObject({ status: 'FAILED', errorCode: code, verifierSealed: null })
}

const inMemory = (body: unknown): FaultKind => ({ kind: 'malformed', body: JSON.stringify(body) })

// GitHub reports its errors with status 200.
test.each([
  ['a code that GitHub does not accept', { error: 'bad_verification_code' }, 'CODE_REJECTED'],
  ['an unknown error', { error: 'some_new_error' }, 'CODE_REJECTED'],
  ['an app that was suspended', { error: 'application_suspended' }, 'GITHUB_APP_SUSPENDED'],
  ['a callback URL that is not registered', { error: 'redirect_uri_mismatch' }, 'GITHUB_REDIRECT_MISMATCH'],
  ['200 and no token', { token_type: 'bearer' }, 'GITHUB_UNAVAILABLE'],
  ['200 and a token that is none', { access_token: 7 }, 'GITHUB_UNAVAILABLE'],
  ['200 and a list', [], 'GITHUB_UNAVAILABLE'],
  ['200 and null', null, 'GITHUB_UNAVAILABLE'],
])('%s ends the sign-in with its own code', async (_what, body, code) => {
  await expectFailure(TOKEN_PATH, inMemory(body), code)
})

test('a code that has expired at GitHub is rejected', async () => {
  const person = world.browser()
  const { headers } = await person.request('/auth/github')
  const callback = await person.consent(headers.get('location') ?? '', 'mara-holt')
  world.sandbox.control.advance(600)
  expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: 'CODE_REJECTED' })
})

test('a wrong client secret is reported and logged as the operator’s problem', async () => {
  const person = world.browser()
  const { headers } = await person.request('/auth/github')
  const callback = await person.consent(headers.get('location') ?? '', 'mara-holt')
  world.sandbox.control.rotateGithubClientSecret('changed at GitHub')
  expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: 'GITHUB_CREDENTIALS_REJECTED' })
  world.sandbox.control.rotateGithubClientSecret(world.config.github.clientSecret)
  expect(world.logs()).toContain('check GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET')
  expect(world.logs()).not.toContain(world.config.github.clientSecret)
})

const breakdowns: [string, FaultKind][] = [
  ['is down', { kind: 'status', status: 503 }],
  ['is rate limiting', { kind: 'status', status: 429, body: { message: 'API rate limit exceeded' } }],
  ['closes the connection', { kind: 'dropBefore' }],
  ['closes the connection after it has acted', { kind: 'dropAfter' }],
  ['is cut off halfway', { kind: 'cutHalfway' }],
  ['never responds', { kind: 'hang' }],
  ['responds with truncated JSON', { kind: 'malformed' }],
  ['responds with a page', { kind: 'malformed', body: '<!doctype html><p>Unicorn!', contentType: 'text/html' }],
  ['responds with a megabyte', { kind: 'oversized', bytes: 1_000_000 }],
  ['responds with a gzip bomb', { kind: 'oversized', bytes: 50_000_000, gzip: true }],
]

test.each(breakdowns)('GitHub’s token endpoint %s', (_what, fault) =>
  expectFailure(TOKEN_PATH, fault, 'GITHUB_UNAVAILABLE'),
)

test.each<[string, FaultKind]>([
  ...breakdowns,
  ['refuses its own token', { kind: 'status', status: 401, body: { message: 'Bad credentials' } }],
  ['sends a profile without an id', { kind: 'response', omit: ['id'] }],
  ['sends an id that is text', { kind: 'response', body: { id: '58320114' } }],
  ['sends an id beyond all integers', { kind: 'response', body: { id: 1e300 } }],
  ['sends an id that is negative', { kind: 'response', body: { id: -1 } }],
  ['sends a login that is not text', { kind: 'response', body: { login: { toString: 'mara-holt' } } }],
  ['sends a login that PostgreSQL cannot store', { kind: 'response', body: { login: 'mara\0holt' } }],
  ['sends a name that PostgreSQL cannot store', { kind: 'response', body: { name: 'Mara\0Holt' } }],
])('GitHub’s API %s', (_what, fault) => expectFailure(PROFILE_PATH, fault, 'GITHUB_UNAVAILABLE'))

test.each([301, 302, 303, 307, 308])(
  'a redirect of GitHub (%i) is not followed, and the secrets reach no other host',
  async (status) => {
    const elsewhere = `${world.sandbox.url}/elsewhere`
    await expectFailure(TOKEN_PATH, { kind: 'redirect', status, location: elsewhere }, 'GITHUB_UNAVAILABLE')
    await expectFailure(PROFILE_PATH, { kind: 'redirect', status, location: elsewhere }, 'GITHUB_UNAVAILABLE')
    expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
  },
)
