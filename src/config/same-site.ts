// Which origins are one site to browsers: the session cookie is SameSite=Lax, and is sent to the gateway from no other.
import { getDomain } from 'tldts'

/**
 * True where browsers take two origins for one site: the same scheme and the same registrable domain (HTML, "schemelessly same site"
 * and "same site"). The public suffix list says what can be registered, its private part included, such as github.io. Addresses and
 * names without a registrable domain, such as localhost, are one site only where they are equal; ports do not count.
 */
export function isSameSite(origin: string, other: string): boolean {
  const [one, two] = [new URL(origin), new URL(other)]
  return one.protocol === two.protocol && siteOf(one.hostname) === siteOf(two.hostname)
}

/** The origins that are another site than `publicUrl`: their pages call without a session cookie. */
export function listCrossSiteOrigins({
  publicUrl,
  allowedOrigins,
}: {
  publicUrl: string
  allowedOrigins: readonly string[]
}): string[] {
  return allowedOrigins.filter((origin) => !isSameSite(origin, publicUrl))
}

/** What to do about an origin that is another site than `publicUrl`, for the operator. */
export function explainCrossSite(origin: string, publicUrl: string): string {
  const [own, other] = [new URL(publicUrl), new URL(origin)]
  if (isLoopback(own.hostname) && isLoopback(other.hostname) && own.protocol === other.protocol) {
    const moved = new URL(origin)
    moved.hostname = own.hostname
    return `Open the front end at ${moved.origin}, and list that in ALLOWED_ORIGINS: to browsers ${other.hostname} and ${own.hostname} are two sites.`
  }
  const https =
    own.protocol === other.protocol
      ? ''
      : ` Both must also be ${own.protocol.slice(0, -1)}: another scheme is another site.`
  return `Serve both below one domain, such as app.example.com and gateway.example.com, or let the front end's server pass /graphql and /auth on to the gateway, with PUBLIC_URL set to the front end's origin.${https} A front end that sends API tokens needs neither.`
}

function siteOf(hostname: string): string {
  return getDomain(hostname, { allowPrivateDomains: true }) ?? hostname
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
