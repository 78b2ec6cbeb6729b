import type { IncomingHttpHeaders } from 'node:http'

const LOOPBACK = /^(?:localhost|[\w.-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i

/**
 * Returns true for a form that a page of the sandbox sends, or a program. Web pages of others reach
 * the sandbox too, since it listens on the machine of its user: by Origin, or by Sec-Fetch-Site
 * where that is "null", and with a name of their own that leads to this machine (DNS rebinding) by
 * Host. Browsers send Origin with every POST (Fetch Standard, 3.2); a program sends neither header.
 */
export function isOwnForm(headers: IncomingHttpHeaders): boolean {
  const { origin, 'sec-fetch-site': site } = headers
  if (origin === undefined && site === undefined) return true
  const host = URL.parse(`http://${headers.host ?? ''}`)
  if (host === null || !LOOPBACK.test(host.hostname)) return false
  return site === undefined ? origin === host.origin : site === 'same-origin' || site === 'none'
}
