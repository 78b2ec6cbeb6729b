import { BlockList, isIP } from 'node:net'
import type { Log } from '../telemetry/log.ts'
import { createRareLine } from '../telemetry/rare-line.ts'

// The headers in which proxies name the client. Only the first is used.
const FORWARDING_HEADERS = ['x-forwarded-for', 'forwarded', 'x-real-ip']
// An operator has few proxies, but a client that reaches the gateway directly may send any header.
const PEERS_PER_HOUR = 5

/**
 * Creates a function that determines a request's client address: the socket's, or, if that is a
 * trusted proxy, the last address in X-Forwarded-For that is not. X-Forwarded-For from other peers
 * is ignored (RFC 9700 section 4.13).
 * @param trustedProxies addresses and CIDR ranges.
 */
export function createAddressReader(trustedProxies: readonly string[]) {
  const isTrusted = createProxyList(trustedProxies)
  return (socketAddress: string | undefined, forwardedFor: string | undefined): string | null => {
    if (socketAddress === undefined) return null
    if (forwardedFor === undefined) return findAddress(socketAddress)
    const hops = [...forwardedFor.split(','), socketAddress].map(readHop).filter((hop) => hop !== '')
    // Entries before one that is not an address cannot be trusted.
    const known = hops.slice(hops.findLastIndex((hop) => isIP(hop) === 0) + 1)
    return known.findLast((hop) => !isTrusted(hop)) ?? known[0] ?? null
  }
}

/**
 * Creates a function that warns of forwarding headers from a peer that is not in TRUSTED_PROXIES.
 * If the peer is the operator's own proxy, all its clients share the rate limits of one address.
 */
export function createProxyWatch(log: Log, trustedProxies: readonly string[]) {
  const isTrusted = createProxyList(trustedProxies)
  const warn = createRareLine(
    log,
    'A peer that is not in TRUSTED_PROXIES sent forwarding headers, which are ignored: if it is your proxy, list it and have it send X-Forwarded-For, or all its clients share the rate limits of one address',
    { keys: PEERS_PER_HOUR },
  )
  return (socketAddress: string | undefined, header: (name: string) => string | undefined): void => {
    if (socketAddress === undefined) return
    const headers = FORWARDING_HEADERS.filter((name) => header(name) !== undefined)
    if (headers.length === 0) return
    const peer = readHop(socketAddress)
    if (!isTrusted(peer)) warn(addressBlock(peer), { peer, headers })
  }
}

/**
 * The rate limit subject of an address: an IPv4 address itself, and the /64 network of an IPv6
 * address, because a customer is assigned a whole /64. Returns "unknown" for null.
 */
export function addressBlock(address: string | null): string {
  if (address === null) return 'unknown'
  // URL normalizes the notation of IPv6 addresses.
  const written = isIP(address) === 6 ? URL.parse(`http://[${address.replace(/%.*/, '')}]/`)?.hostname : undefined
  if (written === undefined) return address
  const [head = '', tail] = written.slice(1, -1).split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const last = tail?.split(':').filter((group) => group !== '') ?? []
  const zeros = Array(8 - groups.length - last.length).fill('0')
  return `${[...groups, ...zeros, ...last].slice(0, 4).join(':')}::/64`
}

function findAddress(text: string): string | null {
  const hop = readHop(text)
  return isIP(hop) === 0 ? null : hop
}

// Some proxies append the port, and then write brackets around an IPv6 address.
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
