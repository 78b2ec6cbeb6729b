import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createEventStreams, MAX_STREAMS, MAX_STREAMS_PER_OWNER } from '../../src/process/event-streams.ts'

test('G-12 an instance opens streams up to its limit, and another one once a stream has ended', () => {
  const streams = createEventStreams(900)
  const open = (owner: number) => streams.open(`owner ${owner}`, `user ${owner}`)
  const owners = MAX_STREAMS / MAX_STREAMS_PER_OWNER
  const opened = Array.from({ length: MAX_STREAMS }, (_, number) => open(number % owners))
  for (const owner of [0, owners]) expect(() => open(owner)).toThrow(AppError)
  opened[0]?.end()
  // A second call has no effect.
  opened[0]?.end()
  open(owners)
  expect(() => open(owners + 1)).toThrow('This instance has as many event streams open as it serves.')
})

test('a notification that arrives while no stream waits is kept, for the streams of its user', async () => {
  const streams = createEventStreams(900)
  const [mara, tomasz, operator] = [
    streams.open('mara', 'mara'),
    streams.open('tomasz', 'tomasz'),
    streams.open('token', null),
  ]
  streams.notify('mara')
  const waits = [mara, tomasz, operator].map((stream, index) => stream?.wait(3600).then(() => index))
  expect(await Promise.all([waits[0], waits[2]])).toEqual([0, 2])
  let woken = false
  void waits[1]?.then(() => {
    woken = true
  })
  streams.notify('mara')
  await new Promise((resolve) => setImmediate(resolve))
  expect(woken).toBe(false)
  // Null: notifications may have been missed.
  streams.notify(null)
  expect(await waits[1]).toBe(1)
})

test('when all streams have to end, waiting ones are woken, and a later one is over at once', async () => {
  const streams = createEventStreams(900)
  const stream = streams.open('mara', 'mara')
  const waiting = stream.wait(3600)
  expect(stream.isOver()).toBe(false)
  streams.finishAll()
  await waiting
  expect([stream.isOver(), streams.open('mara', 'mara').isOver()]).toEqual([true, true])
})
