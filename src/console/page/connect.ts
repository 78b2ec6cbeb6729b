import { request } from './api.ts'
import { explainError } from './wording.ts'

/**
 * Starts a connect attempt and navigates to X. Returns a sentence when the attempt cannot start,
 * and null when the user returns to this page.
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
  // Stays pending, so that the button cannot be used twice.
  const { promise, resolve } = Promise.withResolvers<null>()
  window.addEventListener('pageshow', () => resolve(null), { once: true })
  location.assign(authorizationUrl)
  return promise
}
