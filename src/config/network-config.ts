// The proxies around the gateway, and where its webhooks may be sent.
import { isIP } from 'node:net'
import type { OutboundProxy } from '../outbound/provider-calls.ts'
import type { EgressPolicy } from '../outbound/webhook-egress.ts'
import { parseHttpUrl, parseList } from './variables.ts'

/** Parses TRUSTED_PROXIES, a list of addresses and CIDR ranges. */
export function parseTrustedProxies(text: string | null, problems: string[]): string[] {
  return parseList(text).filter((entry) => {
    const [address = '', prefix, ...rest] = entry.split('/')
    const bits = isIP(address) === 6 ? 128 : 32
    const valid =
      isIP(address) !== 0 &&
      rest.length === 0 &&
      (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
    if (!valid) problems.push(`TRUSTED_PROXIES: "${entry}" is not an address or a range such as 10.0.0.0/8.`)
    return valid
  })
}

/** Parses HTTPS_PROXY and NO_PROXY, in upper or lower case, as other programs do. */
export function parseOutboundProxy(get: (name: string) => string | null, problems: string[]): OutboundProxy | null {
  const name = get('HTTPS_PROXY') === null ? 'https_proxy' : 'HTTPS_PROXY'
  const text = get(name)
  if (text === null) return null
  const url = parseHttpUrl(text)
  if (url === null || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    // Without the value, which may contain a password in an unexpected place.
    problems.push(`${name} must be a URL such as http://proxy.example.com:3128, with http:// or https:// in front.`)
    return null
  }
  return { url: url.href, except: get('NO_PROXY') ?? get('no_proxy') ?? '' }
}

/** Parses WEBHOOK_EGRESS. */
export function parseEgressPolicy(text: string | null, production: boolean, problems: string[]): EgressPolicy {
  if (text !== null && text !== 'public' && text !== 'loopback')
    problems.push('WEBHOOK_EGRESS must be public or loopback.')
  if (text === 'loopback' && production)
    problems.push(
      'WEBHOOK_EGRESS=loopback is refused with NODE_ENV=production: users could send requests to this machine.',
    )
  return text === 'loopback' ? 'LOOPBACK' : 'PUBLIC'
}
