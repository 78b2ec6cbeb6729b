// A process whose clock is wrong: the database's clock decides, which all instances share.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sessions } from '../../../src/db/tables.ts'
import { connectAccount, momentIn, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

const ABSOLUTE_LIFETIME_SECONDS = 90 * 86_400

describe.each([
  ['ahead', 300],
  ['behind', -300],
])('a gateway whose clock is five minutes %s', (_, skewSeconds) => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
    world.skewProcess(skewSeconds)
  })
  afterAll(() => world.close())

  test('refreshes a token once when it is due, not earlier and not again, and uses no expired one', async () => {
    const account = await connectAccount(world)
    const x = watchX(world)
    const refreshesAfterPosts = async () => {
      for (let i = 0; i < 3; i++) expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
      return x.refreshes()
    }
    expect(await refreshesAfterPosts()).toBe(0)
    // Not due for 90 seconds by the database; overdue, or not due for long, by the process.
    world.advance(6_780)
    expect(await refreshesAfterPosts()).toBe(0)
    world.advance(200)
    expect(await refreshesAfterPosts()).toBe(1)
    world.advance(7_300)
    expect(await refreshesAfterPosts()).toBe(2)
    // Each was sent once: X refused no access token.
    expect(x.posts()).toBe(12)
    expect(account.grant()).toMatchObject({ live: true, rotations: 2, replays: 0 })
  })

  test.each([
    ['is taken just before its end', 590, { outcome: 'connected' }],
    ['is refused just after', 610, { outcome: 'failed', code: 'ATTEMPT_EXPIRED' }],
  ])('an attempt %s by the clock of the database', async (_, seconds, arrival) => {
    const username = `skewed_${seconds}`
    world.sandbox.control.addAccount(username)
    const person = await world.signedIn()
    const { authorizationUrl } = await person.startXConnect()
    world.advance(seconds - 5)
    const callback = await person.consent(authorizationUrl ?? '', username)
    world.advance(5)
    expect(await person.finish(callback)).toMatchObject(arrival)
  })

  test('ends a session after its absolute lifetime, off by no more than its clock', async () => {
    const person = await world.signedIn('yuki-ito')
    const setAge = async (seconds: number) => {
      // The gateway looks the session up again.
      world.advance(10)
      await world
        .db()
        .update(sessions)
        .set({ createdAt: momentIn(world, -seconds) })
        .where(sql`user_id = (select id from users where login = 'yuki-ito')`)
    }
    await setAge(ABSOLUTE_LIFETIME_SECONDS - 301)
    expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'yuki-ito' } })
    await setAge(ABSOLUTE_LIFETIME_SECONDS + 301)
    expect(await person.api('viewer')).toMatchObject({ viewer: null })
  })
})
