// An event stream without notifications checks for events and access periodically.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { sessions } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { newPerson } from '../../support/event-reader.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { recordSilently } from '../../support/recorded-events.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, { streamRecheckSeconds: 1, streamLifetimeSeconds: 5 })
})
afterAll(() => world.close())

test('ends without a notification when its session has ended', async () => {
  const person = await newPerson(world)
  const stream = await openStream(world.url, cookieOf(person))
  await world
    .db()
    .delete(sessions)
    .where(eq(sessions.id, sha256(person.cookies.get('xconnect_session') ?? '')))
  expect(await stream.ended).toEqual({ completed: true, codes: ['UNAUTHENTICATED'] })
})

test('sends new events without a notification', async () => {
  const person = await newPerson(world)
  const stream = await openStream(world.url, cookieOf(person))
  const { viewer } = await person.api<{ viewer: { id: string } }>('viewer')
  await recordSilently(world, { type: 'session.started', userId: viewer.id })
  await expect.poll(() => stream.types(), { timeout: 20_000 }).toEqual(['SESSION_STARTED'])
})

test('ends after its lifetime with STREAM_ENDED', async () => {
  const stream = await openStream(world.url, cookieOf(await newPerson(world)))
  expect(await stream.ended).toEqual({ completed: true, codes: ['STREAM_ENDED'] })
})
