// HOST, the address that the gateway listens on. Other programs set a variable of this name too:
// conda's compilers store a platform in it.
import { isIP } from 'node:net'

/**
 * Parses HOST into an address or name that Node can listen on; `fallback` when HOST is not set.
 * @param problems receives a sentence when it is neither. Whether a name resolves to this machine
 * is found out by listening.
 */
export function parseHost(text: string | null, fallback: string, problems: string[]): string {
  if (text === null) return fallback
  // An IPv6 address in the brackets of a URL is accepted.
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isIP(host) !== 0 || (host === text && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?$/i.test(host))) return host
  problems.push(
    `HOST is "${text}", which is neither an address such as 127.0.0.1, 0.0.0.0 or ::1, nor a host name of this machine. Set it without a scheme and port (the port is PORT).`,
  )
  return fallback
}
