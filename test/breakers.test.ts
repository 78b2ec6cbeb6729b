import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createBreakers } from '../src/breakers.ts'
import { createLog } from '../src/log.ts'
import type { CallReport, CallResult } from '../src/outbound.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const answer = (status: number | null): CallResult<string> => {
  const report: CallReport = { sent: true, status, headers: {} }
  return status === null ? { ok: false, error: new Error('no answer'), report } : { ok: true, value: 'answer', report }
}

test('after twenty calls of which more than half find the provider down, calls are held back as certainly not sent', async () => {
  const breakers = createBreakers(createLog('silent'))
  for (let i = 0; i < 9; i++) await breakers.X_POST(async () => answer(201))
  for (let i = 0; i < 11; i++) await breakers.X_POST(async () => answer(i % 2 === 0 ? 503 : null))
  const call = vi.fn(async () => answer(201))
  expect(await breakers.X_POST(call)).toMatchObject({ ok: false, report: { sent: false, status: null } })
  expect(call).not.toHaveBeenCalled()
  // Another class of calls goes on.
  expect(await breakers.X_TOKEN(call)).toMatchObject({ ok: true })
})

test('one call is let through after five seconds, and opens the way when it succeeds', async () => {
  const breakers = createBreakers(createLog('silent'))
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => answer(null))
  await vi.advanceTimersByTimeAsync(5_000)
  const call = vi.fn(async () => answer(201))
  const results = await Promise.all([breakers.X_POST(call), breakers.X_POST(call), breakers.X_POST(call)])
  expect(call).toHaveBeenCalledTimes(1)
  expect(results.map(({ ok }) => ok)).toEqual([true, false, false])
  expect(await breakers.X_POST(call)).toMatchObject({ ok: true })
})

test('refusals, whatever their number, say that the provider is well', async () => {
  const breakers = createBreakers(createLog('silent'))
  for (const status of [400, 401, 402, 403, 404, 429]) {
    for (let i = 0; i < 20; i++) await breakers.X_POST(async () => answer(status))
  }
  expect(await breakers.X_POST(async () => answer(201))).toMatchObject({ ok: true })
})
