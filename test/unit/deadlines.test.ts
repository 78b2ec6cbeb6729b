import type postgres from 'postgres'
import { expect, test } from 'vitest'
import { withDeadlines } from '../../src/db/deadlines.ts'
import { DatabaseTimeoutError } from '../../src/db/outage.ts'

const SHORT_SECONDS = 0.05

// A client whose queries respond when the test says so.
function fakeClient() {
  const queries: { respond(rows: unknown): void; fail(error: Error): void; isCancelled: boolean }[] = []
  const unsafe = () => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const query = { respond: resolve, fail: reject, isCancelled: false }
    queries.push(query)
    return Object.assign(promise, {
      cancel: () => {
        query.isCancelled = true
      },
    })
  }
  return { client: { unsafe } as unknown as postgres.Sql, queries }
}

test('every query that gets no response fails and is cancelled, in the order of their start', async () => {
  const { client, queries } = fakeClient()
  const bound = withDeadlines(client, SHORT_SECONDS)
  const failed: string[] = []
  const send = (name: string) =>
    bound.unsafe('select 1').catch((error: unknown) => {
      failed.push(name)
      throw error
    })
  const waiting = [send('first'), send('second'), send('third')]
  queries[1]?.respond([{ one: 1 }])
  expect(await waiting[1]).toEqual([{ one: 1 }])
  for (const query of [waiting[0], waiting[2]]) await expect(query).rejects.toBeInstanceOf(DatabaseTimeoutError)
  expect(failed).toEqual(['first', 'third'])
  expect(queries.map(({ isCancelled }) => isCancelled)).toEqual([true, false, true])
  await expect(send('fourth')).rejects.toBeInstanceOf(DatabaseTimeoutError)
})

test('more than 200 queries do not wait, and those that are done make room', async () => {
  const { client, queries } = fakeClient()
  const bound = withDeadlines(client, 60)
  const waiting = Array.from({ length: 200 }, () => bound.unsafe('select 1').catch(() => 'failed'))
  await expect(bound.unsafe('select 1').catch((error: Error) => error)).resolves.toBeInstanceOf(DatabaseTimeoutError)
  expect(queries).toHaveLength(200)
  queries[0]?.fail(new Error('of the statement'))
  expect(await waiting[0]).toBe('failed')
  const next = bound.unsafe('select 1').catch(() => 'failed')
  for (const query of queries) query.respond([])
  expect(await Promise.all([...waiting.slice(1), next])).not.toContain('failed')
})
