// A tweet whose post is still running is requested again with the same key, by a caller who does
// not wait for long.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { connectAccount, postFault, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, { waitForTweetSeconds: 1 })
})
afterAll(() => world.close())

test('I-03 a key whose tweet is still being posted returns that tweet as PENDING, and X is not called again', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'delayAfter', milliseconds: 10_000 }))
  const x = watchX(world)
  const input = { idempotencyKey: 'slow' }
  const posting = account.post('Slowly', input)
  await vi.waitFor(() => expect(x.posts()).toBe(1), { timeout: 30_000 })
  const meanwhile = await Promise.all([account.post('Slowly', input), account.post('Slowly', input)])
  expect(meanwhile[0]).toMatchObject({ tweet: { status: 'PENDING', xTweetId: null, url: null }, userErrors: [] })
  expect(meanwhile[1]).toEqual(meanwhile[0])
  expect((await account.post('Otherwise', input)).userErrors).toMatchObject([{ code: 'IDEMPOTENCY_KEY_REUSED' }])
  const posted = await posting
  expect(posted.tweet).toMatchObject({ id: meanwhile[0]?.tweet?.id, status: 'POSTED' })
  expect(await account.post('Slowly', input)).toEqual(posted)
  expect(x.posts()).toBe(1)
  expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
})
