import { expect, test } from 'vitest'
import { createClockSkewWarning } from '../../src/outbound/clock-skew.ts'
import { createLog } from '../../src/telemetry/log.ts'

test('warns of a clock that differs from the providers’ by more than a minute, at most once an hour', () => {
  const lines: string[] = []
  let now = Date.parse('2026-11-23T12:00:00Z')
  const watch = createClockSkewWarning(createLog('warn', { write: (line) => lines.push(line) }), () => now)
  for (const date of ['Mon, 23 Nov 2026 12:00:59 GMT', 'Mon, 23 Nov 2026 11:59:01 GMT', 'nonsense', undefined])
    watch(date)
  expect(lines).toEqual([])
  watch('Mon, 23 Nov 2026 11:55:00 GMT')
  watch('Mon, 23 Nov 2026 12:05:00 GMT')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 'warn', aheadSeconds: 300 }])
  now += 3_600_001
  watch('Mon, 23 Nov 2026 12:55:00 GMT')
  expect(lines).toHaveLength(2)
})
