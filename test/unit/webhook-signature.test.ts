// W-01: signatures are accepted by another library for Standard Webhooks, and nothing else is.
import { Webhook } from 'standardwebhooks'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createLog } from '../../src/telemetry/log.ts'
import { createWebhookSecret, signWebhook } from '../../src/webhooks/signature.ts'

afterEach(() => vi.useRealTimers())

const secret = createWebhookSecret()
const body = JSON.stringify({ type: 'account.connected', timestamp: '2026-11-23T17:57:00.000Z', data: { id: 'ü' } })
const sign = (secrets: string[] = [secret], timestamp = new Date()) =>
  signWebhook(secrets, { id: '0b4f6a52-5d1c-4c1e-9b1a-2f0d3c4b5a69', timestamp, body })

describe('W-01 a message', () => {
  test('is accepted with its secret by an independent library', () => {
    expect(new Webhook(secret).verify(body, sign())).toEqual(JSON.parse(body))
  })

  test('has the signature of the example in the specification', () => {
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestamp: new Date(1614265330 * 1000),
      body: '{"test": 2432232314}',
    }
    expect(signWebhook(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], message)).toEqual({
      'webhook-id': message.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature', 'body'] as const)(
    'is refused with any one character of its %s changed',
    (part) => {
      const parts: Record<string, string> = { ...sign(), body }
      const text = parts[part] ?? ''
      expect(text.length).toBeGreaterThan(5)
      for (let place = 0; place < text.length; place++) {
        const other = text[place] === '1' ? '2' : '1'
        const { body: tampered = '', ...headers } = {
          ...parts,
          [part]: text.slice(0, place) + other + text.slice(place + 1),
        }
        expect(() => new Webhook(secret).verify(tampered, headers), `character ${place}`).toThrow()
      }
    },
  )

  test('is refused with another secret', () => {
    expect(() => new Webhook(createWebhookSecret()).verify(body, sign())).toThrow()
  })

  test('is accepted for five minutes, and refused six minutes after and before its timestamp', () => {
    vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['Date'] })
    const headers = sign()
    for (const [minutes, accepted] of [
      [0, true],
      [4.9, true],
      [6, false],
      [-4.9, true],
      [-6, false],
    ] as const) {
      vi.setSystemTime(1_800_000_000_000 + minutes * 60_000)
      const verify = () => new Webhook(secret).verify(body, headers)
      if (accepted) expect(verify(), `${minutes} minutes`).toEqual(JSON.parse(body))
      else expect(verify, `${minutes} minutes`).toThrow(/timestamp/)
    }
  })

  test('is accepted with either of two secrets', () => {
    const older = createWebhookSecret()
    const headers = sign([secret, older])
    expect(headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/)
    for (const each of [secret, older]) expect(new Webhook(each).verify(body, headers)).toEqual(JSON.parse(body))
  })
})

test('a secret in a log line is redacted', () => {
  const lines: string[] = []
  const log = createLog('info', { write: (line) => lines.push(line) })
  for (const each of [secret, createWebhookSecret()]) log.info({ path: `/hook/${each}?a=b`, note: each }, each)
  expect(lines).toHaveLength(2)
  for (const line of lines) expect(line.match(/whsec_|\[secret\]/g)).toEqual(Array(3).fill('[secret]'))
})

test('a secret is "whsec_" and 32 random bytes in base64, and differs each time', () => {
  const secrets = Array.from({ length: 1_000 }, createWebhookSecret)
  for (const each of secrets) {
    expect(each).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(Buffer.from(each.slice(6), 'base64')).toHaveLength(32)
  }
  expect(new Set(secrets).size).toBe(1_000)
})
