// Calls to addresses that users choose, so that nobody reaches through us what only we can reach. A URL is judged twice: by what it
// says, and by what its host's name resolves to at the moment of the call. The socket connects to the very addresses that were
// judged: a name that answers otherwise a moment later (DNS rebinding) is not asked again.
import { Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, request } from 'undici'
import {
  type CallResult,
  CONNECT_TIMEOUT_MILLISECONDS,
  callProvider,
  guard,
  noCircuitBreaker,
} from './provider-calls.ts'

/** PUBLIC: https to public addresses. LOOPBACK: this machine too, also by http, for development and tests. */
export type EgressPolicy = 'PUBLIC' | 'LOOPBACK'

/** The addresses of a host's name. @throws whatever keeps it from being known. */
export type ResolveHost = (hostname: string) => Promise<string[]>

/** Why an address is not called; the message says what would be. */
export class EgressRefusedError extends Error {
  constructor(detail: string) {
    super(detail)
    this.name = 'EgressRefusedError'
  }
}

/** The way out to addresses that users choose. */
export type WebhookEgress = {
  /** Makes sure that a URL could be called just now, and gives its one spelling. @throws EgressRefusedError */
  check(url: string): Promise<string>
  /** Sends one POST. The answer's body is thrown away; its status is in the report. */
  post(url: string, headers: Record<string, string>, body: string): Promise<CallResult<void>>
  close(): Promise<void>
}

const MAX_URL_LENGTH = 2_000
// The usual two for https: more would let users look, through us, for what else listens at other people's.
const PORTS = ['', '443', '8443']
// Enough for whatever a receiver says politely; nobody reads it.
const MAX_ANSWER_BYTES = 8 * 1024
const RESOLVE_TIMEOUT_MILLISECONDS = 2_000
// Public by number, and yet inside: Azure's host of each virtual machine.
const HOST_OF_AZURE = '168.63.129.16'

/** Makes the way out. @param deadlineSeconds for one call, from its connection to the last byte of the answer. */
export function createWebhookEgress(options: {
  policy: EgressPolicy
  deadlineSeconds: number
  resolveHost?: ResolveHost
}): WebhookEgress {
  const { policy, deadlineSeconds, resolveHost = resolveByDns } = options
  const findAddresses = async (hostname: string): Promise<string[]> => {
    const addresses = isIP(hostname) === 0 ? await resolveName(resolveHost, hostname) : [hostname]
    // One that is inside is enough: whoever owns the name chooses which of them is tried.
    if (addresses.length === 0 || !addresses.every((address) => isAllowed(address, policy)))
      // The same words for a name that is not known: what exists inside is nobody's business.
      throw new EgressRefusedError('The host must have public addresses, and no other.')
    return addresses
  }
  const agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MILLISECONDS, lookup: lookupWith(findAddresses) },
    headersTimeout: 0,
    bodyTimeout: 0,
    // A connection that is kept open would be to an address of another moment.
    pipelining: 0,
  })
  const dispatcher = agent.compose(guard({ deadlineSeconds, maxAnswerBytes: () => MAX_ANSWER_BYTES, onDate: () => {} }))
  return {
    check: async (text) => {
      const url = readTarget(text, policy)
      await findAddresses(hostOf(url))
      return url.href
    },
    post: (text, headers, body) =>
      callProvider(noCircuitBreaker, async () => {
        const url = readTarget(text, policy)
        // The socket looks no name up where there is none.
        if (isIP(hostOf(url)) !== 0) await findAddresses(hostOf(url))
        const answer = await request(url, { dispatcher, method: 'POST', headers, body })
        await answer.body.dump()
      }),
    close: () => agent.close(),
  }
}

/** True for an address in the public part of the Internet. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address) || address === HOST_OF_AZURE) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // Of IPv6 only 2000::/3 is given out; the library calls unicast whatever it has no other name for.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0] ?? 0) >> 5 === 0b001
}

function isAllowed(address: string, policy: EgressPolicy): boolean {
  return isPublicAddress(address) || (policy === 'LOOPBACK' && isLoopbackAddress(address))
}

function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === 'loopback'
}

// URL spells every form of an IPv4 address in the one with dots, so that none slips by as a name.
function readTarget(text: string, policy: EgressPolicy): URL {
  // URL makes U+FFFD of half a character: another address than the one that was given.
  const url = text.isWellFormed() ? URL.parse(text) : null
  if (url === null || text.length > MAX_URL_LENGTH)
    throw new EgressRefusedError(`It must be a URL of up to ${MAX_URL_LENGTH} characters.`)
  const host = hostOf(url)
  const isHere = policy === 'LOOPBACK' && (host === 'localhost' || isLoopbackAddress(host))
  if (url.protocol !== 'https:' && !(isHere && url.protocol === 'http:'))
    throw new EgressRefusedError('It must begin with https://.')
  if (url.username !== '' || url.password !== '')
    throw new EgressRefusedError('It must hold no user name and no password: the signature says who calls.')
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

// Not the system's own look-up: that waits in one of the process's four threads, and a name made to be slow would hold up every call
// to X. It also knows names of this machine and its neighbours, which are nobody's target.
async function resolveByDns(hostname: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MILLISECONDS, tries: 2 })
  const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
}

// What a socket asks for the addresses it may connect to.
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
