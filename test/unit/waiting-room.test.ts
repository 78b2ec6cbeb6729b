// Who gets the next connection, and who is refused.
import { describe, expect, test } from 'vitest'
import { currentCaller, identifyCaller, runForAddress, runInBackground, runProbe } from '../../src/db/caller.ts'
import { DatabaseTimeoutError } from '../../src/db/outage.ts'
import { createWaitingRoom, type Turn, type WaitingRoomOptions } from '../../src/db/waiting-room.ts'

/** A pool of connections, whose work ends when the test says so. */
function openPool(connections: number, options: WaitingRoomOptions = {}) {
  const room = createWaitingRoom(connections, options)
  const started: string[] = []
  const refused: string[] = []
  const running: { name: string; end: () => void }[] = []
  const turns: (Turn | null)[] = []
  const enter = (name: string, isShort = false) =>
    room.enter(
      (turn) => {
        started.push(name)
        turns.push(turn)
        const { promise, resolve } = Promise.withResolvers<void>()
        running.push({ name, end: resolve })
        return promise
      },
      (error) => {
        expect(error).toBeInstanceOf(DatabaseTimeoutError)
        refused.push(name)
      },
      isShort,
    )
  return {
    started,
    /** The turns of what has started. */
    turns,
    refused,
    enter,
    anonymous: (name: string, isShort = false) => runForAddress(name, () => enter(name, isShort)),
    identified: (name: string, isShort = false) =>
      runForAddress('somewhere', () => {
        identifyCaller(name)
        return enter(name, isShort)
      }),
    /** Ends what has run longest, and returns what has started since. */
    endFirst: async () => {
      const before = started.length
      running.shift()?.end()
      await Promise.resolve()
      await Promise.resolve()
      return started.slice(before)
    },
    endAll: async () => {
      while (running.length > 0) {
        running.shift()?.end()
        await Promise.resolve()
        await Promise.resolve()
      }
    },
  }
}

const times = (count: number, work: () => unknown) => {
  for (let time = 0; time < count; time++) work()
}
const counted = (names: readonly string[]) =>
  Object.fromEntries(Object.entries(Object.groupBy(names, (name) => name)).map(([name, all]) => [name, all?.length]))

describe('G-23 a greedy caller', () => {
  test.each(['anonymous', 'identified'] as const)('that is %s has half of the connections at most', (kind) => {
    const pool = openPool(10)
    times(300, () => pool[kind]('greedy'))
    expect(pool.started).toHaveLength(5)
    expect(pool.refused).toHaveLength(300 - 5 - 200)
  })

  test('waits for itself: another one gets the next turn', async () => {
    const pool = openPool(1)
    times(100, () => pool.anonymous('greedy'))
    times(3, () => pool.anonymous('neighbour'))
    const order: string[] = []
    while (order.filter((name) => name === 'neighbour').length < 3) order.push(...(await pool.endFirst()))
    expect(order.length).toBeLessThanOrEqual(6)
  })

  test('of each kind leaves connections to the other, to jobs and to the probe', () => {
    const pool = openPool(10)
    for (const name of ['a', 'b', 'c']) times(100, () => pool.anonymous(name))
    for (const name of ['x', 'y', 'z']) times(100, () => pool.identified(name))
    times(20, () => pool.enter('job'))
    times(1, () => runProbe(() => pool.enter('probe')))
    const kinds = counted(
      pool.started.map((name) => ('abc'.includes(name) ? 'anonymous' : 'xyz'.includes(name) ? 'identified' : name)),
    )
    expect(kinds).toEqual({ anonymous: 7, identified: 1, job: 1, probe: 1 })
  })
})

test('G-23 kinds take turns, and the callers of a kind', async () => {
  const pool = openPool(1)
  pool.enter('first')
  for (const name of ['a', 'b']) times(3, () => pool.anonymous(name))
  for (const name of ['x', 'y']) times(3, () => pool.identified(name))
  times(2, () => runInBackground('other', () => pool.enter('other')))
  times(2, () => pool.enter('job'))
  await pool.endAll()
  const turns = pool.started.slice(1)
  expect(counted(turns.slice(0, 6))).toEqual({ a: 1, b: 1, x: 1, y: 1, job: 1, other: 1 })
  expect(counted(turns.slice(6, 12))).toEqual({ a: 1, b: 1, x: 1, y: 1, job: 1, other: 1 })
  expect(counted(turns.slice(12))).toEqual({ a: 1, b: 1, x: 1, y: 1 })
})

describe('G-23 in a full room', () => {
  test('many colluding callers refuse nobody else: who has most gives way', async () => {
    const pool = openPool(1)
    for (const name of ['a', 'b', 'c', 'd']) times(200, () => pool.identified(name))
    expect(pool.refused.length).toBe(4 * 200 - 600 - 1)
    const before = pool.refused.length
    for (const kind of ['identified', 'anonymous'] as const) times(5, () => pool[kind](`${kind} neighbour`))
    const since = pool.refused.slice(before)
    expect(since).toHaveLength(10)
    expect(since.filter((name) => name.includes('neighbour'))).toEqual([])
    await pool.endAll()
    expect(counted(pool.started)).toMatchObject({ 'identified neighbour': 5, 'anonymous neighbour': 5 })
  })

  test('of as many addresses as it has places, one gives way to a signed-in user', () => {
    const pool = openPool(1)
    for (let address = 0; address <= 600; address++) pool.anonymous(`address ${address}`)
    pool.anonymous('one more')
    expect(pool.refused).toEqual(['one more'])
    pool.identified('user')
    expect(pool.refused).toHaveLength(2)
    expect(pool.refused).not.toContain('user')
  })

  test('jobs and the probe have places of their own', () => {
    const pool = openPool(1)
    for (const name of ['a', 'b', 'c', 'd']) times(200, () => pool.identified(name))
    const before = pool.refused.length
    times(100, () => pool.enter('job'))
    runProbe(() => pool.enter('probe'))
    expect(pool.refused.slice(before)).toEqual([])
  })
})

test('a place that is given up goes to the next one, and started work cannot be given up', async () => {
  const pool = openPool(1)
  const leaveFirst = pool.anonymous('a')
  const leaveSecond = pool.anonymous('a')
  pool.anonymous('b')
  expect([leaveFirst(), leaveSecond(), leaveSecond()]).toEqual([false, true, false])
  await pool.endAll()
  expect(pool.started).toEqual(['a', 'b'])
})

test('work that cannot be started is refused, and frees its connection', async () => {
  const room = createWaitingRoom(1)
  const errors: Error[] = []
  room.enter(
    () => {
      throw new Error('no connection')
    },
    (error) => errors.push(error),
  )
  expect(errors.map(({ message }) => message)).toEqual(['no connection'])
  const pool: string[] = []
  room.enter(
    async () => void pool.push('next'),
    () => {},
  )
  expect(pool).toEqual(['next'])
})

test('work runs for the caller that entered, whoever’s work has ended before', async () => {
  const room = createWaitingRoom(1)
  const seen: string[] = []
  const first = Promise.withResolvers<void>()
  const note = async () => void seen.push(currentCaller().subject)
  runForAddress('a', () =>
    room.enter(
      () => first.promise,
      () => {},
    ),
  )
  runForAddress('b', () => room.enter(note, () => {}))
  room.enter(note, () => {})
  first.resolve()
  await expect.poll(() => seen.toSorted()).toEqual(['b', 'jobs'])
})

test('G-23 requests are read between the queries of a database that runs in this process', async () => {
  const room = createWaitingRoom(1, { isInProcess: true })
  const order: string[] = []
  const query = (name: string) => async () => void order.push(name)
  for (const name of ['first', 'second', 'third']) runForAddress('greedy', () => room.enter(query(name), () => {}))
  // Reads a request, which sends a query.
  setImmediate(() => runForAddress('neighbour', () => room.enter(query('neighbour'), () => {})))
  await expect.poll(() => order.length).toBe(4)
  expect(order.indexOf('neighbour')).toBeLessThan(3)
})

describe('short queries', () => {
  const SHORT = true

  test('that wait share a turn, in the order of their callers', async () => {
    const pool = openPool(1, { maxShared: 4 })
    pool.anonymous('first', SHORT)
    times(5, () => pool.anonymous('a', SHORT))
    pool.anonymous('b', SHORT)
    pool.anonymous('c')
    expect(await pool.endFirst()).toEqual(['a', 'b', 'a', 'a'])
    // The connection is free when all of them have ended.
    for (let ended = 0; ended < 3; ended++) expect(await pool.endFirst()).toEqual([])
    expect(await pool.endFirst()).toEqual(['c'])
    expect(await pool.endFirst()).toEqual(['a', 'a'])
    const [first, ...shared] = pool.turns
    expect([first, shared[4]]).toEqual([null, null])
    expect(new Set(shared.slice(0, 4)).size).toBe(1)
    expect(shared[5]).toBe(shared[6])
    expect(shared[5]).not.toBe(shared[0])
  })

  test('share no turn with those of another kind, nor with others', async () => {
    const pool = openPool(1, { maxShared: 4 })
    pool.anonymous('first')
    for (const kind of ['anonymous', 'identified'] as const) times(2, () => pool[kind](kind, SHORT))
    const turns: string[][] = []
    for (let started = await pool.endFirst(); started.length > 0; started = await pool.endFirst()) {
      turns.push(started)
      for (let other = 1; other < started.length; other++) await pool.endFirst()
    }
    expect(turns.toSorted()).toEqual([
      ['anonymous', 'anonymous'],
      ['identified', 'identified'],
    ])
    times(3, () => pool.anonymous('a'))
    expect(await pool.endFirst()).toEqual(['a'])
    expect(pool.turns.at(-1)).toBeNull()
  })

  test('G-23 of a greedy caller take half of the turns at most, and those that wait are given up one by one', async () => {
    const pool = openPool(10, { maxShared: 8 })
    const leave: (() => boolean)[] = []
    times(25, () => leave.push(pool.identified('greedy', SHORT)))
    expect(pool.started).toHaveLength(5)
    expect(leave[7]?.()).toBe(true)
    for (let turn = 0; turn < 5; turn++) await pool.endFirst()
    expect(pool.started).toHaveLength(24)
    expect(new Set(pool.turns.slice(5)).size).toBe(3)
    pool.identified('neighbour')
    expect(pool.started.at(-1)).toBe('neighbour')
    times(20, () => pool.identified('greedy'))
    expect(pool.started).toHaveLength(27)
  })

  test('end their turn when one of them cannot be started', async () => {
    const room = createWaitingRoom(1, { maxShared: 4 })
    const order: string[] = []
    const first = Promise.withResolvers<void>()
    room.enter(
      () => first.promise,
      () => {},
    )
    const fail = () => {
      throw new Error('no connection')
    }
    room.enter(fail, ({ message }) => order.push(message), SHORT)
    room.enter(
      async () => void order.push('second'),
      () => {},
      SHORT,
    )
    room.enter(
      async () => void order.push('next'),
      () => {},
    )
    first.resolve()
    await expect.poll(() => order).toEqual(['no connection', 'second', 'next'])
  })
})
