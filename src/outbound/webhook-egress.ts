// Webhook egress: calls to URLs that users chose, with an SSRF guard. A URL is checked when it is
// saved and again for each call, first its text and then the addresses that its host name resolves
// to. The socket connects to exactly the addresses that were checked, so that a name that resolves
// differently a moment later (DNS rebinding) has no effect.
import { Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, request } from 'undici'
import {
  type CallResult,
  CONNECT_TIMEOUT_MILLISECONDS,
  callProvider,
  noCircuitBreaker,
  outboundRules,
} from './provider-calls.ts'

/**
 * PUBLIC: https to public addresses only. LOOPBACK: also http and https to this machine, for
 * development and tests.
 */
export type EgressPolicy = 'PUBLIC' | 'LOOPBACK'

/** Resolves a host name to its addresses. @throws any error of the resolver. */
export type ResolveHost = (hostname: string) => Promise<string[]>

/** The egress policy does not allow a URL. The message says which URLs it allows. */
export class EgressRefusedError extends Error {
  constructor(detail: string) {
    super(detail)
    this.name = 'EgressRefusedError'
  }
}

/** Sends webhooks under an egress policy. */
export type WebhookEgress = {
  /**
   * Checks that the policy allows a URL at this moment, and returns its normalised form.
   * @throws EgressRefusedError
   */
  check(url: string): Promise<string>
  /** Sends one POST. The response body is discarded; the report has the status. */
  post(url: string, headers: Record<string, string>, body: string): Promise<CallResult<void>>
  close(): Promise<void>
}

const MAX_URL_LENGTH = 2_000
// The usual two ports of https. More would allow port scans through the gateway.
const PORTS = ['', '443', '8443']
// Receivers send short responses, and the gateway does not read them.
const MAX_RESPONSE_BYTES = 8 * 1024
const RESOLVE_TIMEOUT_MILLISECONDS = 2_000
// In a public range, but internal: the platform address of every Azure virtual machine (wire
// server).
const AZURE_WIRE_SERVER = '168.63.129.16'

/**
 * Creates the webhook egress.
 * @param options `deadlineSeconds` limits one call, from the connection to the last byte of the
 * response.
 */
export function createWebhookEgress(options: {
  policy: EgressPolicy
  deadlineSeconds: number
  resolveHost?: ResolveHost
}): WebhookEgress {
  const { policy, deadlineSeconds, resolveHost = resolveByDns } = options
  const findAddresses = async (hostname: string): Promise<string[]> => {
    const addresses = isIP(hostname) === 0 ? await resolveName(resolveHost, hostname) : [hostname]
    // One forbidden address is enough to refuse: the owner of the name decides which of them is
    // tried.
    if (addresses.length === 0 || !addresses.every((address) => isAllowed(address, policy)))
      // The same message for unknown names, so that it does not reveal which internal names exist.
      throw new EgressRefusedError('The host must resolve to public addresses only.')
    return addresses
  }
  const agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MILLISECONDS, lookup: lookupWith(findAddresses) },
    headersTimeout: 0,
    bodyTimeout: 0,
    // A reused connection would skip the check of the address.
    pipelining: 0,
  })
  const dispatcher = agent.compose(
    outboundRules({ deadlineSeconds, maxResponseBytes: () => MAX_RESPONSE_BYTES, onDate: () => {} }),
  )
  return {
    check: async (text) => {
      const url = parseEgressUrl(text, policy)
      await findAddresses(hostOf(url))
      return url.href
    },
    post: (text, headers, body) =>
      callProvider(noCircuitBreaker, async () => {
        const url = parseEgressUrl(text, policy)
        // The socket does not call `lookup` for an IP address.
        if (isIP(hostOf(url)) !== 0) await findAddresses(hostOf(url))
        const response = await request(url, { dispatcher, method: 'POST', headers, body })
        await response.body.dump()
      }),
    close: () => agent.close(),
  }
}

/** True for a publicly routable address. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address) || address === AZURE_WIRE_SERVER) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // Only 2000::/3 of IPv6 is assigned as global unicast; the library returns unicast for every
  // range that it has no other name for.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0] ?? 0) >> 5 === 0b001
}

function isAllowed(address: string, policy: EgressPolicy): boolean {
  return isPublicAddress(address) || (policy === 'LOOPBACK' && isLoopbackAddress(address))
}

function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === 'loopback'
}

// URL normalises every notation of an IPv4 address to dotted decimal, so that none passes as a
// name.
function parseEgressUrl(text: string, policy: EgressPolicy): URL {
  // URL replaces a lone surrogate by U+FFFD, which would be a different URL.
  const url = text.isWellFormed() ? URL.parse(text) : null
  if (url === null || text.length > MAX_URL_LENGTH)
    throw new EgressRefusedError(`It must be a valid URL of up to ${MAX_URL_LENGTH} characters.`)
  const host = hostOf(url)
  const isHere = policy === 'LOOPBACK' && (host === 'localhost' || isLoopbackAddress(host))
  if (url.protocol !== 'https:' && !(isHere && url.protocol === 'http:'))
    throw new EgressRefusedError('It must begin with https://.')
  if (url.username !== '' || url.password !== '')
    throw new EgressRefusedError('It must not contain a user name or password. The signature authenticates the sender.')
  if (policy === 'PUBLIC' && !PORTS.includes(url.port)) throw new EgressRefusedError('Its port must be 443 or 8443.')
  return url
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

async function resolveName(resolveHost: ResolveHost, hostname: string): Promise<string[]> {
  if (hostname === 'localhost') return ['127.0.0.1', '::1']
  try {
    return await resolveHost(hostname)
  } catch {
    return []
  }
}

// Not getaddrinfo: it occupies one of libuv's four threads, so that a slow name would delay every
// call to X, and it resolves names of this machine and its local network.
async function resolveByDns(hostname: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MILLISECONDS, tries: 2 })
  const results = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
  return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
}

// The `lookup` of the socket: it returns the checked addresses.
function lookupWith(findAddresses: (hostname: string) => Promise<string[]>): LookupFunction {
  return (hostname, { all }, callback) => {
    findAddresses(hostname).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }))
        if (all) callback(null, found)
        else callback(null, found[0]?.address ?? '', found[0]?.family)
      },
      (error) => callback(error, ''),
    )
  }
}
