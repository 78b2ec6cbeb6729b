// SCRAM with channel binding (RFC 5802, RFC 5929 "tls-server-end-point"): the proof of the password
// includes the certificate of the TLS connection, so that a man in the middle cannot forward it.
// patches/6-channel-binding.patch adds it to postgres.js.
import { createHash, type X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { PostgresAddress } from '../config/database-url.ts'

/** The parts of the two SASL messages of the client that depend on the binding. */
export type ChannelBinding = { mechanism: string; header: string; data: string }

const PLAIN = 'SCRAM-SHA-256'
const BOUND = 'SCRAM-SHA-256-PLUS'

/**
 * Chooses one of the mechanisms that the server offers.
 * @throws Error when `channel_binding=require` and the server offers none with a binding.
 */
export function bindChannel(
  wanted: PostgresAddress['channelBinding'],
  socket: Socket,
  mechanisms: readonly string[],
): ChannelBinding {
  if (wanted !== 'disable' && socket instanceof TLSSocket && mechanisms.includes(BOUND)) {
    const header = 'p=tls-server-end-point,,'
    const certificate = socket.getPeerX509Certificate()
    if (certificate !== undefined)
      return { mechanism: BOUND, header, data: encode(Buffer.from(header), hashCertificate(certificate)) }
  }
  if (wanted === 'require')
    throw new Error('the server offers no channel binding, which channel_binding=require asks for')
  return { mechanism: PLAIN, header: 'n,,', data: encode(Buffer.from('n,,')) }
}

// The hash function of the certificate's signature; SHA-256 in place of MD5 and SHA-1 (RFC 5929,
// section 4.1).
function hashCertificate(certificate: X509Certificate): Buffer {
  const [, size] = /sha-?(384|512)/i.exec(certificate.signatureAlgorithm ?? '') ?? []
  return createHash(`sha${size ?? 256}`)
    .update(certificate.raw)
    .digest()
}

function encode(...parts: Buffer[]): string {
  return Buffer.concat(parts).toString('base64')
}
