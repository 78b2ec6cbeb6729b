// The cookies that bind a sign-in to the browser that started it (RFC 9700 section 4.7). There is
// one for each sign-in, so that several tabs can sign in at the same time. The cookie's name is
// derived from the state, so that each callback finds its own.
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { SIGN_IN_KNOWN_SECONDS } from '../auth/sign-in-attempt.ts'
import type { Config } from '../config/config.ts'
import { sha256 } from '../crypto.ts'

// Enough for one person's tabs. About 80 bytes each, of the 16 KiB of headers that Node accepts.
const MAX_COOKIES = 10
const NAME_DIGITS = 16

/** Creates the functions that set, read and delete the cookies. */
export function createSignInCookies({ publicUrl }: Pick<Config, 'publicUrl'>) {
  const secure = publicUrl.startsWith('https:')
  // __Host-: a sibling subdomain cannot set it.
  const prefix = secure ? '__Host-xconnect_sign_in_' : 'xconnect_sign_in_'
  // 64 bits of the state's hash distinguish the tabs of one browser. A cookie's name is not secret.
  const nameFor = (state: string) => `${prefix}${sha256(state).slice(0, NAME_DIGITS)}`
  const isName = (name: string) => name.startsWith(prefix) && /^[0-9a-f]{16}$/.test(name.slice(prefix.length))

  return {
    /**
     * Sets the browser token of the sign-in with this state. Deletes the oldest cookies beyond the
     * limit.
     */
    set(c: Context, state: string, browserToken: string): void {
      // Browsers send the older cookie first (RFC 6265 section 5.4).
      const earlier = Object.keys(getCookie(c)).filter(isName)
      for (const name of earlier.slice(0, Math.max(earlier.length + 1 - MAX_COOKIES, 0)))
        deleteCookie(c, name, { secure, path: '/' })
      setCookie(c, nameFor(state), browserToken, {
        secure,
        path: '/',
        httpOnly: true,
        // Lax, not Strict: the browser must send it when GitHub redirects back.
        sameSite: 'Lax',
        maxAge: SIGN_IN_KNOWN_SECONDS,
      })
    },
    /** The browser token of the sign-in with this state; null if the browser has none. */
    get: (c: Context, state: string): string | null => getCookie(c, nameFor(state)) ?? null,
    /** Deletes the cookie of the sign-in with this state. */
    delete(c: Context, state: string): void {
      deleteCookie(c, nameFor(state), { secure, path: '/' })
    },
  }
}
