// What the operator can see of a connection that failed or waits: one line in the log that names
// the reason and who can solve it, and in /readyz what only the operator can solve.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, providerProblems } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { ProblemName } from '../../../src/sandbox/x/problems.ts'
import { connectAccount, endFaults, postFault } from '../../support/connected-account.ts'
import { codesOf, type ExpectedLine, expectLine, linesOf, problemsOf } from '../../support/flow-log.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
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

describe('a failed connection is one log line, with its attempt', () => {
  const oauth = (status: number, error: string, description: string): FaultKind => ({
    kind: 'status',
    status,
    body: { error, error_description: description },
  })
  test.each<[string, FaultKind, ExpectedLine]>([
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
    const lines = await linesOf(world, async () =>
      expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: expected.errorCode }),
    )
    expectLine(lines, expected)
    expect(lines[0]).toMatchObject({ attemptId: attempt?.id, userId: expect.any(String) })
    expect(codesOf(await problemsOf(world))).toEqual(expected.fault === 'OPERATOR' ? [expected.errorCode] : [])
    // The next successful connection shows that the problem is solved.
    expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
    expect(await problemsOf(world)).toEqual([])
  })
})

describe('a connection that has waited for X', () => {
  /** Approves as this account while X limits the app, and moves the clock to the next try. */
  async function wait(username: string, input: Record<string, unknown> = {}) {
    world.sandbox.control.addAccount(username)
    const person = await world.signedIn()
    const path = '/2/users/me'
    world.sandbox.control.inject({ kind: 'problem', name: 'too-many-requests', times: null, match: { path } })
    const lines = await linesOf(world, async () =>
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
    const lines = await linesOf(world, async () => {}, start)
    expectLine(lines, { errorCode: 'WRONG_ACCOUNT', fault: 'PERSON' })
    expect(lines[0]).toMatchObject({ msg: 'A connection failed', attemptId, userId: expect.any(String) })
    expect(await statusOf(attemptId)).toBe('FAILED')
  })

  test('and fails again logs the reason and who can solve it', async () => {
    const attemptId = await wait('waits_on')
    const start = world.logs().length
    const path = '/2/users/me'
    world.sandbox.control.inject({ kind: 'problem', name: 'credits-depleted', times: null, match: { path } })
    await sweepNow(world)
    await expect.poll(() => world.logs().slice(start), { timeout: 20_000 }).toContain('A connection waits')
    const lines = await linesOf(world, async () => {}, start)
    expectLine(lines, { errorCode: 'X_CREDITS_EXHAUSTED', fault: 'OPERATOR' })
    expect(lines[0]).toMatchObject({ attemptId, msg: expect.stringMatching(/^A connection waits for X: /) })
    await expect.poll(async () => codesOf(await problemsOf(world))).toEqual(['X_CREDITS_EXHAUSTED'])
    endFaults(world)
    world.advance(3_601)
    // The connection succeeds: nothing has failed.
    const made = world.logs().length
    await sweepNow(world)
    await expect.poll(() => statusOf(attemptId), { timeout: 20_000 }).toBe('SUCCEEDED')
    expect(await linesOf(world, async () => {}, made)).toEqual([])
    await expect.poll(() => problemsOf(world)).toEqual([])
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
    const lines = await linesOf(world, () => sweepNow(world))
    expectLine(lines, { errorCode: 'X_UNAVAILABLE', fault: 'PROVIDER' })
    expect(lines[0]).toMatchObject({ attemptId: attempt?.id })
    expect(await linesOf(world, () => sweepNow(world))).toEqual([])
  })
})

describe('a problem is listed in /readyz until X has accepted a call', () => {
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
    expect(codesOf(await problemsOf(world))).toEqual([code])
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(await problemsOf(world)).toEqual([])
  })
})
