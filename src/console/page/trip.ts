import { request } from './api.ts'

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
  if (authorizationUrl === null) return userErrors[0]?.message ?? 'X cannot be reached just now. Try again shortly.'
  // Stays pending, so that the button cannot be pressed twice.
  const { promise, resolve } = Promise.withResolvers<null>()
  window.addEventListener('pageshow', () => resolve(null), { once: true })
  location.assign(authorizationUrl)
  return promise
}
