// The same-site rule of browsers: the session cookie is SameSite=Lax, so browsers send it only with
// requests from the same site.
import { getDomain } from 'tldts'

/**
 * True if browsers treat two origins as the same site: equal scheme and equal registrable domain
 * (HTML Standard, "same site"). The registrable domain follows from the public suffix list with its
 * private part, such as github.io. Addresses, and names without a registrable domain such as
 * localhost, must be equal. Ports are ignored.
 */
export function isSameSite(origin: string, other: string): boolean {
  const [one, two] = [new URL(origin), new URL(other)]
  return one.protocol === two.protocol && siteOf(one.hostname) === siteOf(two.hostname)
}

/**
 * The allowed origins that are cross-site to `publicUrl`: browsers send no session cookie from
 * their pages.
 */
export function listCrossSiteOrigins({
  publicUrl,
  allowedOrigins,
}: {
  publicUrl: string
  allowedOrigins: readonly string[]
}): string[] {
  return allowedOrigins.filter((origin) => !isSameSite(origin, publicUrl))
}

/** Advice for the operator about an origin that is cross-site to `publicUrl`. */
export function explainCrossSite(origin: string, publicUrl: string): string {
  const [own, other] = [new URL(publicUrl), new URL(origin)]
  if (isLoopback(own.hostname) && isLoopback(other.hostname) && own.protocol === other.protocol) {
    const moved = new URL(origin)
    moved.hostname = own.hostname
    return `Open the front end at ${moved.origin}, and list that origin in ALLOWED_ORIGINS: browsers treat ${other.hostname} and ${own.hostname} as different sites.`
  }
  const https =
    own.protocol === other.protocol
      ? ''
      : ` Both must also use ${own.protocol.slice(0, -1)}: a different scheme is a different site.`
  return `Serve both under one domain, such as app.example.com and gateway.example.com, or let the front end's server proxy /graphql and /auth to the gateway, with PUBLIC_URL set to the front end's origin.${https} A front end that sends API tokens needs neither.`
}

function siteOf(hostname: string): string {
  return getDomain(hostname, { allowPrivateDomains: true }) ?? hostname
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
