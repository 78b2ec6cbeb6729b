import type { IncomingHttpHeaders } from 'node:http'

const LOOPBACK = /^(?:localhost|[\w.-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i

/**
 * Returns true for a form that a page of the sandbox sends, or a program. Web pages of others reach
 * the sandbox too, since it listens on the machine of its user: by Origin, or by Sec-Fetch-Site
 * where that is "null", and with a name of their own that leads to this machine (DNS rebinding) by
 * Host.
 */
export function isOwnForm(headers: IncomingHttpHeaders): boolean {
  const host = URL.parse(`http://${headers.host ?? ''}`)
  if (host === null || !LOOPBACK.test(host.hostname)) return false
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  return headers.origin === undefined || headers.origin === host.origin
}
