import { BlockList, isIP } from 'node:net'

/**
 * Makes a reader of the address that a request comes from: the socket's, or, where that is a trusted proxy, the last one in
 * X-Forwarded-For that is not. Anybody else's X-Forwarded-For is ignored (RFC 9700 section 4.13).
 * @param trustedProxies addresses and CIDR ranges.
 */
export function createAddressReader(trustedProxies: readonly string[]) {
  const trusted = new BlockList()
  for (const entry of trustedProxies) {
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  const isTrusted = (address: string) =>
    isIP(address) !== 0 && trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (socketAddress: string | undefined, forwardedFor: string | undefined): string | null => {
    if (socketAddress === undefined) return null
    const hops = [...(forwardedFor ?? '').split(','), socketAddress]
      .map((hop) => hop.trim().replace(/^::ffff:/, ''))
      .filter(isIP)
    return hops.findLast((hop) => !isTrusted(hop)) ?? hops[0] ?? null
  }
}
