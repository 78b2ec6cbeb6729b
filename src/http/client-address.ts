import { BlockList, isIP } from 'node:net'
import type { Log } from '../telemetry/log.ts'
import { createRareWarning } from '../telemetry/rare-warning.ts'

// By which proxies tell whose request they pass on. Only the first is read.
const FORWARDING_HEADERS = ['x-forwarded-for', 'forwarded', 'x-real-ip']
// An operator has few proxies. A client that reaches the gateway directly may send any header.
const PEERS_PER_HOUR = 5

/**
 * Makes a reader of the address that a request comes from: the socket's, or, where that is a trusted proxy, the last one in
 * X-Forwarded-For that is not. Anybody else's X-Forwarded-For is ignored (RFC 9700 section 4.13).
 * @param trustedProxies addresses and CIDR ranges.
 */
export function createAddressReader(trustedProxies: readonly string[]) {
  const isTrusted = createProxyList(trustedProxies)
  return (socketAddress: string | undefined, forwardedFor: string | undefined): string | null => {
    if (socketAddress === undefined) return null
    const hops = [...(forwardedFor ?? '').split(','), socketAddress].map(readHop).filter((hop) => hop !== '')
    // Whatever stands before a hop that is no address may have been written by anybody.
    const known = hops.slice(hops.findLastIndex((hop) => isIP(hop) === 0) + 1)
    return known.findLast((hop) => !isTrusted(hop)) ?? known[0] ?? null
  }
}

/**
 * Makes a watch over peers that are not trusted and say whose request they pass on: one that is the
 * operator's own proxy is to be listed in TRUSTED_PROXIES, since otherwise all its visitors count
 * as one address.
 */
export function createProxyWatch(log: Log, trustedProxies: readonly string[]) {
  const isTrusted = createProxyList(trustedProxies)
  const warn = createRareWarning(
    log,
    'A peer that is not in TRUSTED_PROXIES says whose request it passes on, which is not believed: if it is your proxy, list it and have it send X-Forwarded-For, or all its visitors share the limits of its one address',
    { keys: PEERS_PER_HOUR },
  )
  return (socketAddress: string | undefined, header: (name: string) => string | undefined): void => {
    if (socketAddress === undefined) return
    const headers = FORWARDING_HEADERS.filter((name) => header(name) !== undefined)
    const peer = readHop(socketAddress)
    if (headers.length > 0 && !isTrusted(peer)) warn(addressBlock(peer), { peer, headers })
  }
}

/**
 * What an address is counted as: itself, or of an IPv6 one its network of 64 bits, since that is what one customer gets and can choose
 * addresses from.
 */
export function addressBlock(address: string | null): string {
  if (address === null) return 'unknown'
  // A URL writes every address in one way only.
  const written = isIP(address) === 6 ? URL.parse(`http://[${address.replace(/%.*/, '')}]/`)?.hostname : undefined
  if (written === undefined) return address
  const [head = '', tail] = written.slice(1, -1).split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const last = tail?.split(':').filter((group) => group !== '') ?? []
  const zeros = Array(8 - groups.length - last.length).fill('0')
  return `${[...groups, ...zeros, ...last].slice(0, 4).join(':')}::/64`
}

// Some proxies write the port too, and then brackets around an IPv6 address.
function readHop(text: string): string {
  const address = text.trim().replace(/^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2')
  return address.replace(/^::ffff:/i, '')
}

function createProxyList(trustedProxies: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList()
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  return (address) => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
