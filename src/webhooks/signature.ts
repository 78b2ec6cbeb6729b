// What a receiver checks: Standard Webhooks 1.0 (https://www.standardwebhooks.com), symmetric signatures.
import { createHmac, randomBytes } from 'node:crypto'

/** One message as it is sent. The id is the event's, and the same at every try. */
export type WebhookMessage = { id: string; timestamp: Date; body: string }

const PREFIX = 'whsec_'
// The specification asks for 24 to 64.
const SECRET_BYTES = 32

/** A fresh secret, as its owner is shown it: `whsec_` and base64. */
export function createWebhookSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64')
}

/** The headers that say which message this is, when it was sent, and by whom: one signature for each secret that lives. */
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
