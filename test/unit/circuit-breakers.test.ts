import { expect, test, vi } from 'vitest'
import { createCircuitBreakers } from '../../src/outbound/circuit-breakers.ts'
import type { CallReport, CallResult } from '../../src/outbound/provider-calls.ts'
import { createLog } from '../../src/telemetry/log.ts'

const response = (status: number | null, { sent = true, ok = status !== null } = {}): CallResult<string> => {
  const report: CallReport = { sent, status, headers: {} }
  return ok ? { ok: true, value: 'response', report } : { ok: false, error: new Error('no response'), report }
}

function open() {
  let now = 1_800_000_000_000
  const lines: string[] = []
  const breakers = createCircuitBreakers(createLog('debug', { write: (line) => lines.push(line) }), () => new Date(now))
  const advance = (seconds: number) => {
    now += seconds * 1000
  }
  return { breakers, advance, logs: () => lines.join('') }
}

test('opens after twenty calls of which more than half are in doubt: further calls fail as not sent', async () => {
  const { breakers, logs } = open()
  for (let i = 0; i < 9; i++) await breakers.X_POST(async () => response(201))
  for (let i = 0; i < 11; i++) await breakers.X_POST(async () => response(i % 2 === 0 ? 503 : null))
  const call = vi.fn(async () => response(201))
  expect(await breakers.X_POST(call)).toMatchObject({ ok: false, report: { sent: false, status: null } })
  expect(call).not.toHaveBeenCalled()
  expect(logs()).toContain('"breaker":"X_POST","calls":20,"failures":11')
  // The breaker of another class of calls stays closed.
  expect(await breakers.X_REFRESH(call)).toMatchObject({ ok: true })
})

test('stays closed with exactly half of the calls in doubt, or with nineteen of nineteen', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 40; i++) await breakers.X_POST(async () => response(i % 2 === 0 ? 201 : 503))
  advance(30)
  for (let i = 0; i < 19; i++) await breakers.X_POST(async () => response(503))
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('a call that ended half a minute ago no longer counts', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 19; i++) await breakers.X_POST(async () => response(503))
  advance(30)
  for (let i = 0; i < 19; i++) await breakers.X_POST(async () => response(503))
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('lets one probe through after five seconds; concurrent calls wait for it and are sent when it succeeds', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(null))
  advance(4.9)
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: false })
  advance(0.1)
  const order: string[] = []
  const probe = async () => {
    order.push('probe')
    await new Promise((resolve) => setTimeout(resolve, 20))
    order.push('responded')
    return response(201)
  }
  const beside = async () => {
    order.push('beside')
    return response(201)
  }
  const results = await Promise.all([breakers.X_POST(probe), breakers.X_POST(beside), breakers.X_POST(beside)])
  expect(order).toEqual(['probe', 'responded', 'beside', 'beside'])
  expect(results.map(({ ok }) => ok)).toEqual([true, true, true])
})

test('stays open for five seconds more when the probe is in doubt', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(null))
  advance(5)
  const call = vi.fn(async () => response(201))
  const results = await Promise.all([breakers.X_POST(async () => response(502)), breakers.X_POST(call)])
  expect(results.map(({ report }) => report.sent)).toEqual([true, false])
  expect(await breakers.X_POST(call)).toMatchObject({ report: { sent: false } })
  expect(call).not.toHaveBeenCalled()
  advance(5)
  expect(await breakers.X_POST(call)).toMatchObject({ ok: true })
})

test('lets the next probe through when one fails before it is sent', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(null))
  advance(5)
  await expect(breakers.X_POST(() => Promise.reject(new Error('ours')))).rejects.toThrow('ours')
  advance(5)
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('once closed, is not opened again by failures of calls that began before', async () => {
  const { breakers, advance } = open()
  const late = Promise.withResolvers<CallResult<string>>()
  const lateCall = breakers.X_POST(() => late.promise)
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(503))
  advance(5)
  await breakers.X_POST(async () => response(201))
  late.resolve(response(null))
  await lateCall
  await breakers.X_POST(async () => response(503))
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('does not stay open for an hour when the clock is set back by an hour', async () => {
  const { breakers, advance } = open()
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(503))
  advance(-3_600)
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('counts no refusals, whatever their number and form, and no calls that were not sent', async () => {
  const { breakers } = open()
  for (const status of [400, 401, 402, 403, 404, 429]) {
    for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(status, { ok: i % 2 === 0 }))
  }
  for (let i = 0; i < 200; i++) await breakers.X_POST(async () => response(null, { sent: false }))
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ ok: true })
})

test('counts a call whose response cannot be parsed, whatever its status', async () => {
  const { breakers } = open()
  for (let i = 0; i < 20; i++) await breakers.X_POST(async () => response(i % 2 === 0 ? 200 : 302, { ok: false }))
  expect(await breakers.X_POST(async () => response(201))).toMatchObject({ report: { sent: false } })
})
