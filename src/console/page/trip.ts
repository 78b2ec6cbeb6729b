import { request } from './api.ts'
import { explainError } from './wording.ts'

/**
 * Leaves for X to connect an account, or this one again.
 * Returns a sentence when it cannot, and null once the person is back on this very page.
 */
export async function leaveForX(reconnectAccountId: string | null): Promise<string | null> {
  const { startXConnect } = await request(
    'StartXConnect',
    reconnectAccountId === null ? {} : { input: { reconnectAccountId } },
  )
  const { authorizationUrl, userErrors } = startXConnect
  const [error] = userErrors
  if (error !== undefined) return explainError(error)
  if (authorizationUrl === null) throw new Error('Bug: neither an address to go to nor an error')
  // Stays pending, so that the button cannot be pressed twice.
  const { promise, resolve } = Promise.withResolvers<null>()
  window.addEventListener('pageshow', () => resolve(null), { once: true })
  location.assign(authorizationUrl)
  return promise
}
