import { expect, test, vi } from 'vitest'
import { startWorld } from '../../support/harness.ts'
import { startReceiver, webhooksOf } from '../../support/webhook-receiver.ts'

test('receivers of one user that never respond occupy two workers, and do not delay the deliveries of other users', async () => {
  // Longer than the test takes, so that none of them is given up meanwhile.
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' }, { callDeadlineSeconds: 50 })
  const hanging = await startReceiver()
  const well = await startReceiver()
  try {
    hanging.respondWith(null)
    const stuck = webhooksOf(await world.signedIn())
    const { id } = await stuck.create({ url: hanging.url })
    for (let number = 0; number < 6; number++) await stuck.test(id)
    await vi.waitFor(() => expect(hanging.received).toHaveLength(2), { timeout: 30_000 })
    const other = webhooksOf(await world.signedIn('tomasz-k'))
    const endpoint = await other.create({ url: well.url })
    for (const number of [1, 2, 3]) {
      await other.test(endpoint.id)
      await vi.waitFor(() => expect(well.received).toHaveLength(number), { timeout: 30_000 })
    }
    expect(hanging.received).toHaveLength(2)
    expect((await stuck.deliveries(id)).map(({ attempts }) => attempts).toSorted()).toEqual([0, 0, 0, 0, 1, 1])
  } finally {
    await hanging.close()
    await well.close()
    await world.close()
  }
})
