// HOST and METRICS_HOST, the addresses that the gateway listens on. Other programs set a variable
// HOST too: conda's compilers store a platform in it.
import { isIP } from 'node:net'
import { parsePort } from './variables.ts'

/** An address and a port to listen on. */
export type ListenAddress = Readonly<{ host: string; port: number }>

/**
 * Parses METRICS_PORT and METRICS_HOST; null when METRICS_PORT is not set.
 * @param main the address of the gateway itself, whose host is the default.
 */
export function parseMetricsAddress(
  get: (name: string) => string | null,
  main: ListenAddress,
  problems: string[],
): ListenAddress | null {
  const host = parseHost(get('METRICS_HOST'), 'METRICS_HOST', main.host, problems)
  const text = get('METRICS_PORT')
  if (text === null) return null
  const port = parsePort(text, 'METRICS_PORT', 0, problems)
  if (port !== 0 && port === main.port) problems.push(`METRICS_PORT must differ from PORT, which is ${port}.`)
  return { host, port }
}

/**
 * Parses HOST or METRICS_HOST into an address or name that Node can listen on; `fallback` when it
 * is not set.
 * @param problems receives a sentence when it is neither. Whether a name resolves to this machine
 * is found out by listening.
 */
export function parseHost(text: string | null, name: string, fallback: string, problems: string[]): string {
  if (text === null) return fallback
  // An IPv6 address in the brackets of a URL is accepted.
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isIP(host) !== 0 || (host === text && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?$/i.test(host))) return host
  problems.push(
    `${name} is "${text}", which is neither an address such as 127.0.0.1, 0.0.0.0 or ::1, nor a host name of this machine. Set it without a scheme and port (the port is ${name.replace('HOST', 'PORT')}).`,
  )
  return fallback
}
