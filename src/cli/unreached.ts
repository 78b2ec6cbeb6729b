// Why a provider could not be reached, in words that name the cure.
import type { Config } from '../config/config.ts'
import { findSocketReason, type SocketReason } from '../outbound/provider-failure.ts'

const UNKNOWN = 'Check the network and the proxy'

const sentences: Record<SocketReason, string> = {
  // Said in more words by the error's code.
  CERTIFICATE:
    'its certificate is signed by an authority that this machine does not trust. Set NODE_EXTRA_CA_CERTS to a PEM file with the authority of your network or of your GitHub Enterprise Server, before the start: .env is read too late for it',
  TLS: 'no TLS connection came about. Check that it speaks https, and that no proxy answers instead',
  DNS: 'its name is not known here. Check the address, the DNS of this machine, and HTTPS_PROXY where only a proxy knows names',
  REFUSED: 'the connection was refused. Check the address and its port, or those of the proxy',
  UNREACHABLE: 'there is no way to it. Check the network, and HTTPS_PROXY where only a proxy leads out',
  TIME_OUT: 'it did not answer in time. Check the firewall, and HTTPS_PROXY where only a proxy leads out',
  RESET: 'the connection was cut. Check the firewall and the proxy',
  PROXY_REFUSED: 'the proxy refused it. Check its rules, and the user name and password in HTTPS_PROXY',
  RESPONSE_NOT_ALLOWED: UNKNOWN,
  CIRCUIT_OPEN: UNKNOWN,
}

// As Node names what is wrong with a certificate (docs.openssl.org, X509_STORE_CTX_get_error).
const certificateFaults: Record<string, string> = {
  CERT_HAS_EXPIRED: 'its certificate has expired. Have it renewed, or check the clock of this machine (NTP)',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet. Check the clock of this machine (NTP)',
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is another host's. Check the address, and what answers there instead",
}

/** Says why nothing came back from `url`, and what to do. @param error what the call ended with. */
export function explainUnreached(url: string, error: unknown, proxy: Config['outboundProxy']): string {
  const reason = findSocketReason(error)
  const fault = reason === 'CERTIFICATE' ? findCertificateFault(error) : null
  const sentence = fault ?? (reason === null ? UNKNOWN : sentences[reason])
  const through = proxy === null ? '' : ` through the proxy ${new URL(proxy.url).origin}`
  return `${url} cannot be reached from here${through}: ${sentence}.`
}

function findCertificateFault(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const fault = certificateFaults[code]
    if (fault !== undefined) return fault
  }
  return null
}
