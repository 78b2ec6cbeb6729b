import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectedAccounts, grantRevocations, oauthTokens } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { Browser } from '../../support/browser.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld({}, impatient)
  person = await world.signedIn()
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

const TOKEN_PATH = '/2/oauth2/token'
const ME_PATH = '/2/users/me'

let lastNumber = 0
function newAccount(): string {
  lastNumber += 1
  const username = `unlucky_${lastNumber}`
  world.sandbox.control.addAccount(username)
  return username
}

/** Connects with this fault planted: it fails, stores nothing, and the attempt has the error. */
async function expectFailure(path: string, fault: FaultKind, code: string, username = newAccount()): Promise<void> {
  const { authorizationUrl, connectAttempt: attempt } = await person.startXConnect()
  const callback = await person.consent(authorizationUrl ?? '', username)
  const [accounts, tokens] = [await world.db().$count(connectedAccounts), await world.db().$count(oauthTokens)]
  world.sandbox.control.inject({ match: { path }, times: null, ...fault })
  expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code, attempt: attempt?.id })
  world.sandbox.control.clearFaults()
  expect([await world.db().$count(connectedAccounts), await world.db().$count(oauthTokens)]).toEqual([accounts, tokens])
  expect(await person.api('connect-attempt', { connectAttemptId: attempt?.id })).toMatchObject({
    connectAttempt: { status: 'FAILED', error: { code }, account: null },
  })
}

const breakdowns: [string, FaultKind][] = [
  ['is down', { kind: 'problem', name: 'service-unavailable' }],
  ['is down behind its front', { kind: 'malformed', status: 502, body: '<html>', contentType: 'text/html' }],
  ['hangs up', { kind: 'dropBefore' }],
  ['is cut off halfway', { kind: 'cutHalfway' }],
  ['never answers', { kind: 'hang' }],
  ['answers with JSON cut short', { kind: 'malformed' }],
  ['answers with lists in lists', { kind: 'malformed', body: '['.repeat(30_000) + ']'.repeat(30_000) }],
  ['answers with null', { kind: 'malformed', body: 'null' }],
  ['answers with a page', { kind: 'malformed', body: '<!doctype html>', contentType: 'text/html' }],
  ['answers with a megabyte', { kind: 'oversized', bytes: 1_000_000 }],
  ['answers with a bomb', { kind: 'oversized', bytes: 50_000_000, gzip: true }],
  ['sends us elsewhere', { kind: 'redirect', status: 307, location: '/elsewhere' }],
]

describe('T-01 T-03 T-05 refuses to connect', () => {
  test.each<[string, FaultKind, string]>([
    ...breakdowns.map(([what, fault]): [string, FaultKind, string] => [what, fault, 'X_UNAVAILABLE']),
    ['is rate limiting', { kind: 'problem', name: 'oauth-rate-limited' }, 'X_UNAVAILABLE'],
    ['is unavailable', { kind: 'problem', name: 'temporarily-unavailable' }, 'X_UNAVAILABLE'],
    ['sends no token', { kind: 'malformed', body: '{"token_type":"bearer"}' }, 'X_UNAVAILABLE'],
    ['does not take the code', { kind: 'problem', name: 'invalid-code' }, 'CODE_REJECTED'],
    ['does not take the verifier', { kind: 'problem', name: 'wrong-verifier' }, 'CODE_REJECTED'],
    ['does not take the redirect', { kind: 'problem', name: 'wrong-redirect' }, 'X_REDIRECT_MISMATCH'],
    ['does not know our app', { kind: 'problem', name: 'invalid-client' }, 'X_CREDENTIALS_REJECTED'],
    ['does not take our secret', { kind: 'problem', name: 'unauthorized-client' }, 'X_CREDENTIALS_REJECTED'],
  ])('when X’s token endpoint %s', (_what, fault, code) => expectFailure(TOKEN_PATH, fault, code))

  test('when the user took more than 30 seconds to return', async () => {
    const username = newAccount()
    const { authorizationUrl } = await person.startXConnect()
    const callback = await person.consent(authorizationUrl ?? '', username)
    world.advance(31)
    expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: 'CODE_REJECTED' })
  })

  test.each<[string, FaultKind, string]>([
    ['misses a scope', { kind: 'problem', name: 'missing-scope' }, 'SCOPES_MISSING'],
    ['has suspended the account', { kind: 'problem', name: 'suspended' }, 'ACCOUNT_SUSPENDED'],
    ['has locked the account', { kind: 'problem', name: 'locked' }, 'ACCOUNT_SUSPENDED'],
  ])('when X’s users/me %s', (_what, fault, code) => expectFailure(ME_PATH, fault, code))

  test('when the account is suspended at X', () =>
    expectFailure('/never', { kind: 'hang' }, 'ACCOUNT_SUSPENDED', 'lostlantern'))

  test('and the secrets go nowhere else', () => {
    expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
  })

  test('and revokes what X had granted in any of these cases', async () => {
    await expect.poll(() => world.db().$count(grantRevocations), { timeout: 15_000 }).toBe(0)
    const grants = world.sandbox.control.grants()
    expect(grants.length).toBeGreaterThan(3)
    // The grant of the truncated token response is the only one that nobody here has seen.
    expect(grants.filter(({ live }) => live)).toHaveLength(1)
  })
})

test('rejected client credentials are the operator’s problem, and are logged without them', async () => {
  world.sandbox.control.rotateClientSecret('changed at X')
  expect(await person.connect(newAccount())).toMatchObject({ outcome: 'failed', code: 'X_CREDENTIALS_REJECTED' })
  world.sandbox.control.rotateClientSecret(world.config.x.clientSecret)
  expect(world.logs()).toContain('check X_CLIENT_ID and X_CLIENT_SECRET')
  expect(world.logs()).not.toContain(world.config.x.clientSecret)
})

describe('accepts an unusual but usable response', () => {
  test.each<[string, FaultKind, Record<string, unknown>]>([
    ['no scope: as asked for (RFC 6749 section 5.1)', { kind: 'response', omit: ['scope'] }, { status: 'ACTIVE' }],
    [
      'scopes by commas',
      { kind: 'response', body: { scope: 'tweet.read,users.read,tweet.write,offline.access' } },
      { status: 'ACTIVE' },
    ],
    [
      'a scope that no database takes',
      { kind: 'response', body: { scope: 'tweet.read users.read tweet.write offline.access \0' } },
      { status: 'ACTIVE' },
    ],
    ['no expires_in', { kind: 'response', omit: ['expires_in'] }, { status: 'ACTIVE' }],
    ['no refresh_token', { kind: 'response', omit: ['refresh_token'] }, { username: expect.any(String) }],
  ])('%s', async (_what, fault, expected) => {
    const username = newAccount()
    world.sandbox.control.inject({ match: { path: TOKEN_PATH }, ...fault })
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
    expect(
      await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username)),
    ).toMatchObject([expected])
  })
})
