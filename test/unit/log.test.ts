import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLog, logRedacted } from '../../src/telemetry/log.ts'
import { markRedacted } from '../../src/telemetry/redaction.ts'

type Write = (log: ReturnType<typeof createLog>) => void

function linesOf(level: string, write: Write): string[] {
  const lines: string[] = []
  write(createLog(level, { write: (line) => lines.push(line) }))
  return lines.map((line) => line.replace(/"time":"[^"]*Z"/, '"time":"…"'))
}

const values = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant(null), fc.array(fc.string()))

test('a line of redacted fields is written as log.info writes it', () => {
  const fields = fc.record(
    { requestId: values, path: values, address: values, fields: values, none: fc.constant(undefined) },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fields, (fields) => {
      const direct = linesOf('info', (log) => logRedacted(log, fields, 'request'))
      expect(direct).toHaveLength(1)
      expect(direct).toEqual(linesOf('info', (log) => log.info(markRedacted(fields), 'request')))
    }),
  )
})

test('a line of redacted fields is left out above its level', () => {
  expect(linesOf('warn', (log) => logRedacted(log, { path: '/' }, 'request'))).toEqual([])
})
