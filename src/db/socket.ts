// Opens the socket of a connection to PostgreSQL: TCP or Unix, encrypted as sslmode says. The
// driver gets it ready for the first message of the protocol, so that an address means the same for
// every connection.
import { once } from 'node:events'
import { isIP, Socket } from 'node:net'
import tls from 'node:tls'
import type { PostgresAddress, PostgresHost } from '../config/database-url.ts'
import { DatabaseConnectError } from './outage.ts'

/**
 * Message SSLRequest of the protocol:
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const KEEP_ALIVE_MILLISECONDS = 60_000

/**
 * Opens a socket to the server at `host`. `allow` and `prefer` connect without encryption when the
 * server offers none or the handshake fails; both try encryption first. A Unix socket is never
 * encrypted.
 * @throws DatabaseConnectError
 */
export async function openSocket(host: PostgresHost, address: PostgresAddress): Promise<Socket> {
  const deadline = AbortSignal.timeout(address.connectTimeoutSeconds * 1000)
  try {
    const { mode } = address.tls
    if (isUnixSocket(host) || mode === 'disable') return await connectSocket(host, deadline)
    if (mode !== 'allow' && mode !== 'prefer') return await openEncrypted(host, address, deadline)
    return await openEncrypted(host, address, deadline).catch((error) => {
      // An error before the handshake would occur again.
      if (!(error instanceof EncryptionError)) throw error
      return connectSocket(host, deadline)
    })
  } catch (error) {
    const reason = deadline.aborted ? new Error(`no response for ${address.connectTimeoutSeconds} s`) : error
    throw new DatabaseConnectError(describeHost(host), reason)
  }
}

/** Returns the name of a host for a message. */
export function describeHost({ host, port }: PostgresHost): string {
  if (host.startsWith('/')) return socketPath({ host, port })
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** The server offers no encryption, or the handshake failed. */
class EncryptionError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'EncryptionError'
  }
}

function isUnixSocket({ address }: PostgresHost): boolean {
  return address.startsWith('/')
}

function socketPath({ host, port }: Pick<PostgresHost, 'host' | 'port'>): string {
  return `${host.replace(/\/$/, '')}/.s.PGSQL.${port}`
}

async function connectSocket(host: PostgresHost, signal: AbortSignal): Promise<Socket> {
  const socket = new Socket()
  if (isUnixSocket(host)) socket.connect(socketPath(host))
  else socket.connect(host.port, host.address)
  await settled(socket, 'connect', signal)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MILLISECONDS)
  return socket
}

async function openEncrypted(host: PostgresHost, address: PostgresAddress, signal: AbortSignal): Promise<Socket> {
  const socket = await connectSocket(host, signal)
  const { mode, isDirect, roots, certificate, key, passphrase, minVersion } = address.tls
  if (!isDirect) {
    socket.write(SSL_REQUEST)
    const [response]: Buffer[] = await settled(socket, 'data', signal)
    // Data after the one byte would be unencrypted and could come from a man in the middle
    // (CVE-2021-23222).
    if (response?.toString() !== 'S') {
      // The same connection is used without encryption.
      if (response?.toString() === 'N' && (mode === 'allow' || mode === 'prefer')) return socket
      socket.destroy()
      if (response?.toString() === 'N')
        throw new EncryptionError(`the server offers no encryption, which sslmode=${mode} asks for`)
      throw new Error('the server at this address is not PostgreSQL, or accepts no connections now')
    }
    socket.pause()
  }
  const encrypted = tls.connect({
    socket,
    ...(isIP(host.host) === 0 && { servername: host.host }),
    host: host.host,
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(roots !== null && { ca: roots }),
    ...(certificate !== null && { cert: certificate }),
    ...(key !== null && { key }),
    ...(passphrase !== null && { passphrase }),
    ...(minVersion !== null && { minVersion }),
    ...(isDirect && { ALPNProtocols: ['postgresql'] }),
  })
  try {
    await settled(encrypted, 'secureConnect', signal)
  } catch (error) {
    socket.destroy()
    throw new EncryptionError(explainHandshake(error, host), error)
  }
  return encrypted
}

// The error of a handshake describes the certificate's problem, and not the remedy.
function explainHandshake(error: unknown, host: PostgresHost): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = error instanceof Error ? error.message : 'failed'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the server's certificate is for another name than ${host.host} (sslmode=verify-full compares it)`
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired"
  if (/SELF_SIGNED|UNABLE_TO|CERT_UNTRUSTED/.test(code))
    return `the server's certificate is not signed by an authority that is trusted here (${code}): name its certificate in sslrootcert`
  return `no encrypted connection could be made (${code || reason})`
}

async function settled(socket: Socket, event: string, signal: AbortSignal): Promise<Buffer[]> {
  try {
    const closed = once(socket, 'close', { signal }).then(() => {
      throw Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
    })
    closed.catch(() => {})
    return await Promise.race([once(socket, event, { signal }), closed])
  } catch (error) {
    // Without a listener, a later error would end the process.
    socket.on('error', () => {})
    socket.destroy()
    throw error
  }
}
