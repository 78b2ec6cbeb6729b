// The loop that runs jobs, over a queue in memory and a clock that the test moves: how often it
// asks, and what it runs at once.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createJobLoop, LOOK_SECONDS } from '../../src/jobs/job-loop.ts'
import { createLog } from '../../src/telemetry/log.ts'

type StoredJob = {
  id: string
  name: string
  groupId: string | null
  dueAt: number
  state: 'waiting' | 'active' | 'done'
}

let jobs: StoredJob[]
/** The statements that the loop has sent, by kind. */
let sent: string[]
let busy: number
/** Ends the run of each job, by id. */
let running: Map<string, (error?: Error) => void>
let loop: ReturnType<typeof createJobLoop>
let isDown: boolean

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  jobs = []
  sent = []
  busy = 0
  running = new Map()
  isDown = false
  const send = async <T>(kind: string, result: () => T): Promise<T> => {
    sent.push(kind)
    if (isDown) throw new Error('the database is down')
    return result()
  }
  const due = (name: string) => jobs.filter((job) => job.name === name && job.state === 'waiting')
  const database = {
    executeSql: (_text: string, [names]: unknown[] = []) =>
      send('look', () => ({
        rows: (names as string[]).map((name) => {
          const seconds = due(name).map(({ dueAt }) => (dueAt - performance.now()) / 1000)
          const later = seconds.filter((value) => value > 0)
          return { name, due: later.length < seconds.length, seconds: later.length === 0 ? null : Math.min(...later) }
        }),
      })),
  }
  const boss = {
    fetch: (name: string, { batchSize = 1, ignoreGroups = [] as string[] }) =>
      send('fetch', () => {
        const free = due(name).filter(
          (job) => job.dueAt <= performance.now() && !ignoreGroups.includes(job.groupId ?? ''),
        )
        const taken = free.slice(0, batchSize)
        for (const job of taken) job.state = 'active'
        return taken.map(({ id, groupId }) => ({ id, groupId, data: id, retryCount: 0 }))
      }),
    complete: (_name: string, { id }: { id: string }) => send('complete', () => setState(id, 'done')),
    fail: (_name: string, { id }: { id: string }) => send('fail', () => setState(id, 'waiting')),
  }
  const run = (data: unknown) =>
    new Promise<void>((resolve, reject) => {
      running.set(String(data), (error) => {
        running.delete(String(data))
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  const queues = new Map([
    ['plain', { capacity: 3, groupCapacity: null, keepsFinished: true, run }],
    ['grouped', { capacity: 4, groupCapacity: 2, keepsFinished: true, run }],
  ])
  const log = createLog('fatal', { write: () => {} })
  loop = createJobLoop({ boss: boss as never, database: database as never, log }, queues, () => {
    busy += 1
  })
})
afterEach(() => {
  loop.pause()
  vi.useRealTimers()
})

function setState(id: string, state: StoredJob['state']): void {
  for (const job of jobs) if (job.id === id) job.state = state
}

/** Stores a job, as another instance would. */
function store(id: string, { name = 'plain', groupId = null as string | null, inSeconds = 0 } = {}): void {
  jobs.push({ id, name, groupId, dueAt: performance.now() + inSeconds * 1000, state: 'waiting' })
}

const settle = () => vi.advanceTimersByTimeAsync(1)
const count = (kind: string) => sent.filter((one) => one === kind).length

async function startAndSettle(): Promise<void> {
  loop.start()
  await settle()
}

test('an idle loop looks about once every five seconds, and sends nothing else', async () => {
  await startAndSettle()
  sent = []
  await vi.advanceTimersByTimeAsync(60_000)
  expect(new Set(sent)).toEqual(new Set(['look']))
  expect(count('look')).toBeGreaterThanOrEqual(60 / LOOK_SECONDS)
  expect(count('look')).toBeLessThanOrEqual(60 / (0.8 * LOOK_SECONDS))
})

test('a job that is queued here runs at once, with two statements', async () => {
  await startAndSettle()
  sent = []
  store('own')
  loop.expect('plain', 0)
  await settle()
  running.get('own')?.()
  await settle()
  expect(sent).toEqual(['fetch', 'complete'])
})

test('a job with a later time runs when that has come, also one of another instance', async () => {
  await startAndSettle()
  store('later', { inSeconds: 2 })
  loop.expect('plain', 2)
  store('of another', { inSeconds: 3, name: 'grouped' })
  await vi.advanceTimersByTimeAsync(1_900)
  expect([...running.keys()]).toEqual([])
  await vi.advanceTimersByTimeAsync(200)
  expect([...running.keys()]).toEqual(['later'])
  await vi.advanceTimersByTimeAsync(1_000)
  expect([...running.keys()]).toEqual(['later', 'of another'])
})

test('a job of another instance runs at once when the loop is woken, and after five seconds otherwise', async () => {
  await startAndSettle()
  store('notified')
  loop.wake()
  await settle()
  expect([...running.keys()]).toEqual(['notified'])
  store('not notified')
  await vi.advanceTimersByTimeAsync(LOOK_SECONDS * 1000)
  expect([...running.keys()]).toEqual(['notified', 'not notified'])
})

test('runs no more jobs at once than the capacity, and the others one after the other', async () => {
  for (let number = 0; number < 8; number++) store(`job ${number}`)
  await startAndSettle()
  const order: string[] = []
  while (running.size > 0) {
    expect(running.size).toBeLessThanOrEqual(3)
    const [id, end] = [...running][0] ?? []
    order.push(id ?? '')
    end?.()
    await settle()
  }
  expect(order).toHaveLength(8)
  expect(jobs.every(({ state }) => state === 'done')).toBe(true)
  // Without a look before each of them.
  expect(count('look')).toBe(1)
})

test('a group with many jobs leaves room for others, and all of its own run in the end', async () => {
  for (let number = 0; number < 10; number++) store(`many ${number}`, { name: 'grouped', groupId: 'many' })
  await startAndSettle()
  expect([...running.keys()]).toEqual(['many 0', 'many 1'])
  store('other', { name: 'grouped', groupId: 'other' })
  loop.expect('grouped', 0)
  await settle()
  expect([...running.keys()]).toEqual(['many 0', 'many 1', 'other'])
  while (running.size > 0) {
    expect([...running.keys()].filter((id) => id.startsWith('many')).length).toBeLessThanOrEqual(2)
    running.values().next().value?.()
    await settle()
  }
  expect(jobs.filter(({ state }) => state !== 'done')).toEqual([])
})

test('tells the others of a job only when this instance cannot take it', async () => {
  await startAndSettle()
  for (let number = 0; number < 4; number++) {
    store(`job ${number}`)
    loop.expect('plain', 0)
    await settle()
  }
  expect(busy).toBe(1)
  loop.pause()
  loop.expect('grouped', 0)
  expect(busy).toBe(2)
})

test('a job that fails is returned to the queue, and looked for again', async () => {
  store('failing')
  await startAndSettle()
  running.get('failing')?.(new Error('not now'))
  await settle()
  expect(sent.filter((kind) => kind !== 'look')).toEqual(['fetch', 'fail', 'fetch'])
  expect([...running.keys()]).toEqual(['failing'])
})

test('asks once a second while the database is down, and goes on afterwards', async () => {
  isDown = true
  await startAndSettle()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(sent.length).toBeGreaterThan(8)
  expect(sent.length).toBeLessThan(13)
  store('after the outage')
  isDown = false
  await vi.advanceTimersByTimeAsync(1_000)
  expect([...running.keys()]).toEqual(['after the outage'])
})

test('a drain takes no new job, waits for those that run, and returns the rest to the queue', async () => {
  store('ends')
  store('does not end')
  await startAndSettle()
  loop.pause()
  store('new')
  loop.expect('plain', 0)
  const drained = loop.drain(5)
  await settle()
  running.get('ends')?.()
  await vi.advanceTimersByTimeAsync(5_000)
  await drained
  expect(jobs.map(({ id, state }) => [id, state])).toEqual([
    ['ends', 'done'],
    ['does not end', 'waiting'],
    ['new', 'waiting'],
  ])
})
