import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createEventStreams, DEFAULT_STREAMS_PER_OWNER, type Followed } from '../../src/process/event-streams.ts'

const follow = (userId: string): Followed => ({ userId, credential: { kind: 'SESSION', userId, id: `of ${userId}` } })

test('G-12 an instance opens streams up to its limit, and another one once a stream has ended', () => {
  const maxStreams = 10_000
  const streams = createEventStreams(900, maxStreams)
  const open = (owner: number) => streams.open(`owner ${owner}`, follow(`user ${owner}`))
  const owners = maxStreams / DEFAULT_STREAMS_PER_OWNER
  const opened = Array.from({ length: maxStreams }, (_, number) => open(number % owners))
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
    streams.open('mara', follow('mara')),
    streams.open('tomasz', follow('tomasz')),
    streams.open('token', follow('operator')),
  ]
  streams.notify(['mara', 'operator'])
  const waits = [mara, tomasz, operator].map((stream, index) => stream?.wait().then(() => index))
  expect(await Promise.all([waits[0], waits[2]])).toEqual([0, 2])
  let woken = false
  void waits[1]?.then(() => {
    woken = true
  })
  streams.notify(['mara'])
  await new Promise((resolve) => setImmediate(resolve))
  expect(woken).toBe(false)
  // Null: notifications may have been missed.
  streams.notify(null)
  expect(await waits[1]).toBe(1)
})

test('when all streams have to end, waiting ones are woken, and a later one is over at once', async () => {
  const streams = createEventStreams(900)
  const stream = streams.open('mara', follow('mara'))
  const waiting = stream.wait()
  expect(stream.isOver()).toBe(false)
  streams.finishAll()
  await waiting
  expect([stream.isOver(), streams.open('mara', follow('mara')).isOver()]).toEqual([true, true])
})

test('a recheck wakes a stream for a position that it has not reached, and once', async () => {
  const streams = createEventStreams(900)
  const stream = streams.open('mara', follow('mara'))
  stream.startAt(7)
  let wakings = 0
  const count = async () => {
    for (;;) {
      await stream.wait()
      wakings += 1
    }
  }
  void count()
  const recheck = async (position: number) => {
    for (const open of streams.list()) open.reach(position)
    await new Promise((resolve) => setImmediate(resolve))
    return wakings
  }
  expect([await recheck(7), await recheck(8), await recheck(8), await recheck(9)]).toEqual([0, 1, 1, 2])
})
