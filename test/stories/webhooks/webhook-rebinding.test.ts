import { expect, test, vi } from 'vitest'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { startWorld } from '../../support/harness.ts'
import { webhooksOf } from '../../support/webhook-receiver.ts'

test('W-03 a host name that resolves to an internal address after the endpoint was created is not called', async () => {
  const asked: string[] = []
  let address = '93.184.216.34'
  const resolveHost = async (hostname: string) => {
    asked.push(hostname)
    return [address]
  }
  // As in production: https to public addresses.
  const webhookEgress = createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 5, resolveHost })
  const world = await startWorld({}, {}, { webhookEgress })
  try {
    const webhooks = webhooksOf(await world.signedIn())
    const { id } = await webhooks.create({ url: 'https://rebinding.example:8443/hook' })
    expect(asked).toEqual(['rebinding.example'])
    for (address of ['127.0.0.1', '169.254.169.254', '::ffff:10.0.0.1']) {
      await webhooks.test(id)
      await vi.waitFor(
        async () => expect((await webhooks.deliveries(id))[0]).toMatchObject({ lastError: 'URL_NOT_ALLOWED' }),
        { timeout: 30_000 },
      )
      expect((await webhooks.deliveries(id))[0]).toMatchObject({ status: 'PENDING', lastHttpStatus: null })
    }
    // Nor can the endpoint be moved there now.
    expect(await webhooks.update({ webhookEndpointId: id, url: 'https://rebinding.example/other' })).toMatchObject({
      userErrors: [{ code: 'WEBHOOK_URL_NOT_ALLOWED' }],
    })
  } finally {
    await world.close()
  }
})
