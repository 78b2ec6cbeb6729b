import { expect, test } from 'vitest'
import { createLog } from '../../src/telemetry/log.ts'
import { createRareLine } from '../../src/telemetry/rare-line.ts'

test('logs a line once an hour for each key, up to a number of keys, and counts the omitted lines', () => {
  const lines: string[] = []
  let now = 1
  const warn = createRareLine(createLog('warn', { write: (line) => lines.push(line) }), 'Look', {
    keys: 2,
    now: () => now,
  })
  const told = () => lines.splice(0).map((line) => JSON.parse(line))
  for (const key of ['a', 'a', 'b', 'c', 'd', 'a']) warn(key, { key })
  expect(told()).toMatchObject([
    { level: 'warn', msg: 'Look', key: 'a' },
    { level: 'warn', msg: 'Look', key: 'b', leftOut: 1 },
  ])
  now += 3_599_999
  warn('a', { key: 'a' })
  expect(told()).toEqual([])
  now += 1
  warn('c', { key: 'c' })
  warn('c', { key: 'c' })
  expect(told()).toMatchObject([{ key: 'c', leftOut: 4 }])
})

test('logs errors once in another window', () => {
  const lines: string[] = []
  let now = 1
  const logRarely = createRareLine(createLog('warn', { write: (line) => lines.push(line) }), 'Look', {
    ...{ keys: 1, level: 'error', windowSeconds: 10 },
    now: () => now,
  })
  const told = () => lines.splice(0).map((line) => JSON.parse(line))
  for (const id of [1, 2, 3]) logRarely('', { id })
  expect(told()).toMatchObject([{ level: 'error', msg: 'Look', id: 1 }])
  now += 10_000
  for (const id of [4, 5]) logRarely('', { id })
  expect(told()).toMatchObject([{ level: 'error', id: 4, leftOut: 2 }])
})
