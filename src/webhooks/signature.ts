// Symmetric webhook signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com).
import { createHmac, randomBytes } from 'node:crypto'

/** One message. Its id is the event's id, the same at every attempt. */
export type WebhookMessage = { id: string; timestamp: Date; body: string }

const PREFIX = 'whsec_'
// The specification requires 24 to 64.
const SECRET_BYTES = 32

/** Creates a secret in the form that its owner is shown: `whsec_` and base64. */
export function createWebhookSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64')
}

/**
 * The headers of a message: its id, its timestamp, and one signature for each secret (two during a
 * rotation).
 */
export function signWebhook(
  secrets: readonly string[],
  { id, timestamp, body }: WebhookMessage,
): Record<string, string> {
  const seconds = Math.floor(timestamp.getTime() / 1000)
  const sign = (secret: string) =>
    createHmac('sha256', Buffer.from(secret.slice(PREFIX.length), 'base64'))
      .update(`${id}.${seconds}.${body}`)
      .digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': secrets.map((secret) => `v1,${sign(secret)}`).join(' '),
  }
}
