// The TLS parameters of a PostgreSQL address, with the meaning that libpq gives them.
// (https://www.postgresql.org/docs/current/libpq-ssl.html)
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import type { SecureVersion } from 'node:tls'

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/** The TLS settings of a connection. */
export type PostgresTls = Readonly<{
  mode: (typeof SSL_MODES)[number]
  /** Trusted root certificates in PEM; null for those that Node trusts. */
  roots: string | null
  /** The client certificate in PEM. */
  certificate: string | null
  key: string | null
  passphrase: string | null
  /** True to start with the TLS handshake instead of an SSLRequest. */
  isDirect: boolean
  minVersion: SecureVersion | null
}>

/** Access to the parameters of an address while it is parsed. */
export type AddressParameters = {
  /** Removes a parameter and returns its value; null when it is absent or empty. */
  take(key: string): string | null
  /** Takes a parameter that must have one of the listed values. */
  choose<Choice extends string>(key: string, choices: readonly Choice[], fallback: Choice): Choice
  /** Reports a problem. */
  complain(sentence: string): void
}

/** Parses sslmode and the other TLS parameters, and reads the files that they name. */
export function parseTls({ take, choose, complain }: AddressParameters): PostgresTls {
  // JDBC and many hosting providers write ssl=true for sslmode=require; libpq accepts it as well.
  const short = take('ssl')
  const rootFile = take('sslrootcert')
  const fallback = short === 'true' || short === '1' ? 'require' : rootFile === 'system' ? 'verify-full' : 'prefer'
  const asked = choose('sslmode', SSL_MODES, fallback)
  if (rootFile === 'system' && asked !== 'verify-full')
    complain('sslrootcert=system needs sslmode=verify-full: anyone can get a certificate from a public authority.')
  const usual = path.join(homedir(), '.postgresql', 'root.crt')
  const file = rootFile ?? (existsSync(usual) ? usual : null)
  const roots = file === null || file === 'system' ? null : readPem(file, 'sslrootcert', complain)
  // As in libpq: with a root certificate, sslmode=require verifies the chain.
  const mode = asked === 'require' && roots !== null ? 'verify-ca' : asked
  if (mode === 'verify-ca' && roots === null && isReadable(file))
    complain('sslmode=verify-ca needs sslrootcert, the file with the certificate of the authority to trust.')
  const isDirect = choose('sslnegotiation', ['postgres', 'direct'], 'postgres') === 'direct'
  if (isDirect && ['disable', 'allow', 'prefer'].includes(mode))
    complain('sslnegotiation=direct needs sslmode=require, verify-ca or verify-full.')
  const minVersion = choose('ssl_min_protocol_version', [...TLS_VERSIONS, ''], '')
  const certificate = take('sslcert')
  const key = take('sslkey')
  return {
    mode,
    roots,
    certificate: certificate === null ? null : readPem(certificate, 'sslcert', complain),
    key: key === null ? null : readPem(key, 'sslkey', complain),
    passphrase: take('sslpassword'),
    isDirect,
    minVersion: minVersion === '' ? null : minVersion,
  }
}

// An unreadable file has already been reported.
function isReadable(file: string | null): boolean {
  return file === null || file === 'system'
}

function readPem(file: string, parameter: string, complain: AddressParameters['complain']): string | null {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.includes('-----BEGIN ')) return text
    complain(`the file that ${parameter} names is not PEM (it has no line "-----BEGIN …").`)
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : 'error'
    complain(`the file that ${parameter} names cannot be read (${reason}).`)
  }
  return null
}
