// HOST, the address that the gateway listens at. Other programs set a variable of this name too: conda's compilers name a platform by it.
import { isIP } from 'node:net'

/**
 * The address or name in HOST as Node listens at it; `fallback` where HOST is not set.
 * @param problems receives a sentence where the text is neither. Whether a name leads to this machine shows when it is listened at.
 */
export function parseHost(text: string | null, fallback: string, problems: string[]): string {
  if (text === null) return fallback
  // As it stands in a URL.
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isIP(host) !== 0 || (host === text && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?$/i.test(host))) return host
  problems.push(
    `HOST is "${text}", which is neither an address such as 127.0.0.1, 0.0.0.0 or ::1, nor the name of this machine. Give no scheme and no port (PORT has it).`,
  )
  return fallback
}
