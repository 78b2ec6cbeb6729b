// The example receiver in the manual of the API.
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { readDocumentBlock } from '../../support/documents/markdown.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startWorld } from '../../support/harness.ts'
import { webhooksOf } from '../../support/webhook-receiver.ts'

const root = path.join(import.meta.dirname, '../../..')

test('W-02 the receiver in the manual accepts each message of the gateway once, and no forged message', async () => {
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}/`
  const webhooks = webhooksOf(await world.signedIn())
  const { id, secret } = await webhooks.create({ url })
  const receiver = spawn(process.execPath, ['--input-type=module-typescript'], {
    cwd: root,
    env: { PORT: String(port), WEBHOOK_SECRET: secret },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const lines: string[] = []
    receiver.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')))
    receiver.stdin.end(readDocumentBlock('schema/README.md', 'ts', "from 'standardwebhooks'"))
    await vi.waitFor(() => reach(port), { timeout: 30_000 })
    await webhooks.test(id)
    const delivery = await vi.waitFor(
      async () => {
        const [newest] = await webhooks.deliveries(id)
        expect(newest?.status).toBe('DELIVERED')
        return newest
      },
      { timeout: 30_000 },
    )
    expect(lines).toEqual([expect.stringContaining('"type":"webhook.test"')])
    expect(lines[0]?.startsWith(`${delivery?.eventId} {`)).toBe(true)

    await webhooks.replay(delivery?.id ?? '')
    await vi.waitFor(
      async () => expect(await webhooks.deliveries(id)).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]),
      { timeout: 30_000 },
    )
    expect(lines).toHaveLength(1)
    const forged = await world.browser().request(url, { method: 'POST', body: '{"type":"webhook.test"}' })
    expect(forged.status).toBe(400)
    expect(lines).toHaveLength(1)
  } finally {
    receiver.kill('SIGKILL')
    await world.close()
  }
})

function reach(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}
