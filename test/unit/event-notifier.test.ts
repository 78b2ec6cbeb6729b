// The notifier sends at once what comes first, and gathers what follows.
import { expect, test } from 'vitest'
import { createEventNotifier } from '../../src/process/event-notifier.ts'
import { createLog } from '../../src/telemetry/log.ts'

test('notifies of the first user at once, and of all who follow by one statement', async () => {
  const sent: (readonly string[])[] = []
  const notifier = createEventNotifier(silentLog, async (userIds) => void sent.push(userIds))
  notifier.notify(['first'])
  expect(sent).toEqual([['first']])
  notifier.notify(['second', 'third'])
  notifier.notify(['second', 'fourth'])
  expect(sent).toEqual([['first']])
  await notifier.end()
  expect(sent).toEqual([['first'], ['second', 'third', 'fourth']])
})

test('goes on after a statement that failed', async () => {
  const sent: (readonly string[])[] = []
  const notifier = createEventNotifier(silentLog, async (userIds) => {
    sent.push(userIds)
    throw new Error('The connection was closed')
  })
  notifier.notify(['first'])
  notifier.notify(['second'])
  await notifier.end()
  expect(sent).toEqual([['first'], ['second']])
})

test('is idle once all are sent, and then notifies at once again', async () => {
  const sent: (readonly string[])[] = []
  const notifier = createEventNotifier(silentLog, async (userIds) => void sent.push(userIds))
  notifier.notify([])
  expect(sent).toEqual([])
  notifier.notify(['first'])
  await notifier.end()
  notifier.notify(['second'])
  expect(sent).toEqual([['first'], ['second']])
})

const silentLog = createLog('silent', { write: () => {} })
