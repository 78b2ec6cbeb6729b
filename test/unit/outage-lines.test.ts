import { expect, test } from 'vitest'
import { DatabaseConnectError } from '../../src/db/outage.ts'
import { createOutageFilter } from '../../src/db/outage-lines.ts'
import { createLog } from '../../src/telemetry/log.ts'

const away = () => new DatabaseConnectError('db:5432', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))

type Line = { level: string; msg: string; leftOut?: number; awaySince?: string }

function openLog() {
  const lines: Line[] = []
  let milliseconds = 1_000_000
  const filter = createOutageFilter(() => milliseconds)
  const log = createLog('debug', { write: (line) => lines.push(JSON.parse(line)) }, filter)
  return {
    log,
    messages: () => lines.map(({ msg }) => msg),
    last: () => lines.at(-1),
    pass: (seconds: number) => {
      milliseconds += seconds * 1000
    },
  }
}

test('a database that is away has a line for each sentence, then one in ten seconds with the number of the others', () => {
  const { log, messages, last, pass } = openLog()
  for (let second = 0; second < 60; second += 1) {
    for (let count = 0; count < 10; count += 1) {
      log.error({ error: away() }, 'A job failed')
      log.child({ requestId: 'r' }).warn({ error: new Error('wrapped', { cause: away() }) }, 'Not ready')
    }
    pass(1)
  }
  // Two at once, and one at each of the following ten seconds.
  expect(messages()).toHaveLength(2 + 5)
  expect(last()).toMatchObject({ leftOut: expect.any(Number), awaySince: new Date(1_000_000).toISOString() })
  pass(31)
  log.error({ error: away() }, 'A job failed')
  expect(last()).toMatchObject({ msg: 'A job failed', awaySince: new Date(1_000_000 + 91_000).toISOString() })
  expect(last()).not.toHaveProperty('leftOut')
})

test('no line is left out that has another cause, or none', () => {
  const { log, messages } = openLog()
  const others = [
    { error: new Error('a bug') },
    {
      error: Object.assign(new Error('fetch failed'), { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) }),
    },
    { error: Object.assign(new Error('a constraint'), { code: '23505' }) },
    {},
  ]
  for (const fields of [...others, ...others]) log.error(fields, 'A job failed')
  log.info('Ready')
  log.info('Ready')
  expect(messages()).toHaveLength(2 * others.length + 2)
})

test('many sentences are bounded too', () => {
  const { log, messages } = openLog()
  for (let count = 0; count < 100; count += 1) log.error({ error: away() }, `Retrying to write number ${count}`)
  expect(messages()).toHaveLength(20)
})
