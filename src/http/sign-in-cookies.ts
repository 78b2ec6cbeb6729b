// The cookies that tie sign-ins to the browser that started them: one for each, so that several
// tabs can sign in side by side. The name follows from the state: a callback finds its own cookie,
// also where several tabs started at once and none knew of the others.
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { SIGN_IN_KNOWN_SECONDS } from '../auth/oauth-attempt.ts'
import type { Config } from '../config/config.ts'
import { sha256 } from '../crypto.ts'

// Enough for the tabs of one person. With some 80 bytes each they leave room in the Cookie header:
// Node takes 16 KiB of headers.
const MOST_COOKIES = 10
const NAME_DIGITS = 16

/** The sign-in cookies of a gateway with this configuration. */
export function createSignInCookies({ publicUrl }: Pick<Config, 'publicUrl'>) {
  const secure = publicUrl.startsWith('https:')
  // __Host-: no sibling subdomain can plant one.
  const prefix = secure ? '__Host-xconnect_sign_in_' : 'xconnect_sign_in_'
  // 64 bits of the state's hash tell the tabs of one browser apart. A name is no secret.
  const nameFor = (state: string) => `${prefix}${sha256(state).slice(0, NAME_DIGITS)}`
  const isName = (name: string) => name.startsWith(prefix) && /^[0-9a-f]{16}$/.test(name.slice(prefix.length))

  return {
    /**
     * Hands a browser the token of the sign-in with this state. The oldest cookies make room for
     * it.
     */
    set(c: Context, state: string, browserToken: string): void {
      // Browsers send the older cookie first (RFC 6265 section 5.4).
      const earlier = Object.keys(getCookie(c)).filter(isName)
      for (const name of earlier.slice(0, Math.max(earlier.length + 1 - MOST_COOKIES, 0)))
        deleteCookie(c, name, { secure, path: '/' })
      setCookie(c, nameFor(state), browserToken, {
        secure,
        path: '/',
        httpOnly: true,
        // Lax, not Strict: GitHub's redirect back must bring it along.
        sameSite: 'Lax',
        maxAge: SIGN_IN_KNOWN_SECONDS,
      })
    },
    /** The browser's token of the sign-in with this state; null when it has none. */
    get: (c: Context, state: string): string | null => getCookie(c, nameFor(state)) ?? null,
    /** Takes the cookie of the sign-in with this state back. */
    delete(c: Context, state: string): void {
      deleteCookie(c, nameFor(state), { secure, path: '/' })
    },
  }
}
