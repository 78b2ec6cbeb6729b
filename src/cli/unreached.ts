// Sentences for the reasons why a provider is unreachable. Each says what to do.
import type { Config } from '../config/config.ts'
import { findSocketReason, type SocketReason } from '../outbound/provider-failure.ts'

const UNKNOWN = 'Check the network and the proxy'

const sentences: Record<SocketReason, string> = {
  // `certificateFaults` has more specific sentences for some error codes.
  CERTIFICATE:
    'its certificate is signed by an authority that this machine does not trust. Set NODE_EXTRA_CA_CERTS to a PEM file with the authority of your network or of your GitHub Enterprise Server, before the start; .env is read too late for this variable',
  TLS: 'the TLS handshake failed. Check that it serves https, and that no proxy responds in its place',
  DNS: 'its name cannot be resolved. Check the address, the DNS of this machine, and HTTPS_PROXY if only a proxy resolves names',
  REFUSED: 'the connection was refused. Check the address and its port, or those of the proxy',
  UNREACHABLE: 'there is no route to it. Check the network, and HTTPS_PROXY if this network requires a proxy',
  TIME_OUT: 'it did not respond in time. Check the firewall, and HTTPS_PROXY if this network requires a proxy',
  RESET: 'the connection was closed. Check the firewall and the proxy',
  PROXY_REFUSED: 'the proxy refused the connection. Check its rules, and the user name and password in HTTPS_PROXY',
  RESPONSE_NOT_ALLOWED: UNKNOWN,
  CIRCUIT_OPEN: UNKNOWN,
}

// By Node's error codes for certificates (docs.openssl.org, X509_STORE_CTX_get_error).
const certificateFaults: Record<string, string> = {
  CERT_HAS_EXPIRED: 'its certificate has expired. Renew it, or check the clock of this machine (NTP)',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet. Check the clock of this machine (NTP)',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is for another host. Check the address, and which server responds there',
}

/** Explains why `url` is unreachable and what to do. @param error the error of the call. */
export function explainUnreached(url: string, error: unknown, proxy: Config['outboundProxy']): string {
  const reason = findSocketReason(error)
  const fault = reason === 'CERTIFICATE' ? findCertificateFault(error) : null
  const sentence = fault ?? (reason === null ? UNKNOWN : sentences[reason])
  const through = proxy === null ? '' : ` through the proxy ${new URL(proxy.url).origin}`
  return `${url} cannot be reached from this machine${through}: ${sentence}.`
}

function findCertificateFault(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const fault = certificateFaults[code]
    if (fault !== undefined) return fault
  }
  return null
}
