// The callback of a connect arrives more than once: by Back, by a reload, or twice at the same
// moment. It belongs to the same attempt and gets its outcome.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ConnectAttemptQuery } from '../../../src/console/operation-types.ts'
import { connectedAccounts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { endFaults } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'
import { tokenExchanges, tokenPaths } from '../../support/token-exchange.ts'

const FRONT_END = 'https://app.example'
const RETURN_TO = `${FRONT_END}/done`

let world: World
beforeAll(async () => {
  world = await startWorld({ ALLOWED_ORIGINS: FRONT_END })
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

const { countExchanges, slowDown, untilExchanging } = tokenExchanges(() => world)

describe('the callback of a connect', () => {
  let lastNumber = 0
  async function startConnect(person: Browser, input: Record<string, unknown> = {}) {
    lastNumber += 1
    const username = `again_${lastNumber}`
    world.sandbox.control.addAccount(username)
    const { authorizationUrl, connectAttempt: attempt } = await person.startXConnect({ returnTo: RETURN_TO, ...input })
    return { username, callback: await person.consent(authorizationUrl ?? '', username), attempt: attempt?.id ?? '' }
  }
  const toldOf = async (person: Browser, id: string) => {
    const { connectAttempt } = await person.api<ConnectAttemptQuery>('connect-attempt', { connectAttemptId: id })
    if (connectAttempt === null) throw new Error(`There is no attempt ${id}`)
    return connectAttempt
  }
  const statusOf = async (person: Browser, id: string) => (await toldOf(person, id)).status

  test('arrives again after it succeeded, in the same session and in a later one of the same user', async () => {
    const person = await world.signedIn()
    const { callback, attempt } = await startConnect(person)
    const connected = `${RETURN_TO}?xConnect=connected&attempt=${attempt}`
    expect((await person.finish(callback)).url.href).toBe(connected)
    const exchanges = countExchanges('X')
    for (let visit = 0; visit < 2; visit++) expect((await person.finish(callback)).url.href).toBe(connected)
    await person.signIn('mara-holt')
    expect((await person.finish(callback)).url.href).toBe(connected)
    expect(countExchanges('X')).toBe(exchanges)
    // No other user learns anything of it.
    const stranger = await world.signedIn('tomasz-k')
    expect((await stranger.finish(callback)).url.href).toBe(`${world.url}/?xConnect=failed&code=SESSION_MISMATCH`)
    expect(await statusOf(person, attempt)).toBe('SUCCEEDED')
  })

  test('arrives again after it failed, and gets the first reason', async () => {
    const person = await world.signedIn()
    const { callback, attempt } = await startConnect(person, { expectedUsername: 'somebody_else' })
    const failed = `${RETURN_TO}?xConnect=failed&code=WRONG_ACCOUNT&attempt=${attempt}`
    for (let visit = 0; visit < 3; visit++) expect((await person.finish(callback)).url.href).toBe(failed)
  })

  test('arrives again after it failed: the attempt keeps its error, with its sentence and time', async () => {
    const person = await world.signedIn()
    const wrong = await startConnect(person, { expectedUsername: 'somebody_else' })
    await person.finish(wrong.callback)
    const first = await toldOf(person, wrong.attempt)
    expect(first).toMatchObject({ status: 'FAILED', error: { code: 'WRONG_ACCOUNT' } })
    for (const name of [`@${wrong.username}`, '@somebody_else']) expect(first.error?.message).toContain(name)

    const limited = await startConnect(person)
    const headers = { 'retry-after': '120' }
    world.sandbox.control.inject({ kind: 'status', status: 503, headers, match: { path: tokenPaths.X } })
    await person.finish(limited.callback)
    const second = await toldOf(person, limited.attempt)
    expect(second).toMatchObject({ status: 'FAILED', error: { code: 'X_UNAVAILABLE' } })
    expect(Date.parse(second.error?.retryAt ?? '')).toBeGreaterThan(world.sandbox.control.now())

    const exchanges = countExchanges('X')
    for (const [{ callback, attempt }, told] of [
      [wrong, first],
      [limited, second],
    ] as const)
      for (let visit = 0; visit < 2; visit++) {
        expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: told.error?.code })
        expect(await toldOf(person, attempt)).toEqual(told)
      }
    expect(countExchanges('X')).toBe(exchanges)
  })

  test('arrives again while the connection waits for X, and gets that outcome; then that it is connected', async () => {
    const person = await world.signedIn()
    const { callback, attempt } = await startConnect(person)
    const path = '/2/users/me'
    world.sandbox.control.inject({ kind: 'problem', name: 'too-many-requests', times: null, match: { path } })
    const waiting = `${RETURN_TO}?xConnect=waiting&code=X_RATE_LIMITED&attempt=${attempt}`
    expect((await person.finish(callback)).url.href).toBe(waiting)
    const [told, exchanges, reads] = [
      await toldOf(person, attempt),
      countExchanges('X'),
      world.sandbox.control.countReceived({ path }),
    ]
    expect(told).toMatchObject({ status: 'WAITING', error: { code: 'X_RATE_LIMITED', retryAt: expect.any(String) } })
    const again = await Promise.all([person.finish(callback), person.finish(callback), person.finish(callback)])
    expect(again.map(({ url }) => url.href)).toEqual([waiting, waiting, waiting])
    await person.signIn('mara-holt')
    expect((await person.finish(callback)).url.href).toBe(waiting)
    expect(await toldOf(person, attempt)).toEqual(told)
    expect([countExchanges('X'), world.sandbox.control.countReceived({ path })]).toEqual([exchanges, reads])
    const stranger = await world.signedIn('tomasz-k')
    expect((await stranger.finish(callback)).url.href).toBe(`${world.url}/?xConnect=failed&code=SESSION_MISMATCH`)
    endFaults(world)
    world.advance(901)
    await sweepNow(world)
    await expect.poll(() => statusOf(person, attempt), { timeout: 20_000 }).toBe('SUCCEEDED')
    expect((await person.finish(callback)).url.href).toBe(`${RETURN_TO}?xConnect=connected&attempt=${attempt}`)
  })

  test('arrives during the first: both get the success, and X receives one exchange', async () => {
    const person = await world.signedIn()
    const { username, callback, attempt } = await startConnect(person)
    const exchanges = countExchanges('X')
    slowDown('X')
    const first = person.finish(callback)
    await untilExchanging('X', exchanges)
    const arrivals = [...(await Promise.all([person.finish(callback), person.finish(callback)])), await first]
    for (const { url } of arrivals) expect(url.href).toBe(`${RETURN_TO}?xConnect=connected&attempt=${attempt}`)
    expect(countExchanges('X')).toBe(exchanges + 1)
    const rows = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
    expect(rows).toHaveLength(1)
  })

  test('does not expire while it is being finished, however long that takes', async () => {
    const person = await world.signedIn()
    const { callback, attempt } = await startConnect(person)
    const exchanges = countExchanges('X')
    // X has acted by then: its code is valid for half a minute.
    slowDown('X', 'delayAfter')
    const first = person.finish(callback)
    await untilExchanging('X', exchanges)
    expect(await statusOf(person, attempt)).toBe('PENDING')
    world.advance(660)
    expect(await statusOf(person, attempt)).toBe('PENDING')
    expect(await person.finish(callback)).toMatchObject({ outcome: 'connected' })
    expect(await first).toMatchObject({ outcome: 'connected' })
    expect(await statusOf(person, attempt)).toBe('SUCCEEDED')
  })
})
