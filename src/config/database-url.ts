// The address of a PostgreSQL server, understood once for everything that connects to it, with libpq's meaning.
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING)
//
// No sentence of this file repeats a part of the address that may hold a piece of its password.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import type { SecureVersion } from 'node:tls'

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
const CHANNEL_BINDINGS = ['disable', 'prefer', 'require'] as const
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
// The gateway writes, so that of libpq's choices only these lead to a server that it can use.
const WRITABLE = ['any', 'read-write', 'primary']

/** One place to try. `host` is the name that a certificate must bear, or the directory of a Unix socket. */
export type PostgresHost = Readonly<{ host: string; address: string; port: number }>

/** How a connection is encrypted. */
export type PostgresTls = Readonly<{
  mode: (typeof SSL_MODES)[number]
  /** Certificates to trust, in PEM; null for those that Node trusts. */
  roots: string | null
  /** The client's own certificate, its key and the key's passphrase. */
  certificate: string | null
  key: string | null
  passphrase: string | null
  /** Begin with TLS instead of asking for it. */
  isDirect: boolean
  minVersion: SecureVersion | null
}>

/** An address that has been parsed. */
export type PostgresAddress = Readonly<{
  hosts: readonly [PostgresHost, ...PostgresHost[]]
  /** Null: the driver's default, PGUSER or the user of the process. */
  user: string | null
  /** Null: PGPASSWORD, or none. */
  password: string | null
  database: string | null
  tls: PostgresTls
  channelBinding: (typeof CHANNEL_BINDINGS)[number]
  connectTimeoutSeconds: number
  /** Command-line options for the server process. */
  options: string | null
  /** With several hosts: whether to pass over those that take no writes. */
  isWritable: boolean
}>

const PERCENT_ENCODE =
  'If the user or the password has one of the characters / ? # [ ] @ or % in it, percent-encode it: / is %2F, ? is %3F, # is %23, [ is %5B, ] is %5D, @ is %40, % is %25.'

// In seconds, unless connect_timeout says otherwise.
const CONNECT_TIMEOUT_SECONDS_SECONDS = 5

// What other libraries put into an address. They say nothing that the gateway has to know, or it decides that itself.
const ADVICE: Record<string, string> = {
  pgbouncer: 'set DATABASE_POOLER=transaction where a pooler in transaction mode answers there',
  application_name: 'the gateway names its connections itself',
  client_encoding: 'it is always UTF8',
  schema: 'the gateway uses the schema public',
}
// Known to libpq, and without any effect on a connection that Node makes.
const WITHOUT_EFFECT =
  /^(keepalives|keepalives_(idle|interval|count)|tcp_user_timeout|gssencmode|sslsni|sslcompression|fallback_application_name|load_balance_hosts|uselibpqcompat)$/

/** True for an address that DATABASE_URL may be. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text)
}

/**
 * Parses an address, with all that libpq understands in one.
 * @param name the variable that it was given in; every sentence begins with it.
 * @returns the address, sentences about what is wrong (the address is then of no use), and about what is ignored.
 */
export function parsePostgresUrl(
  text: string,
  name: string,
): { address: PostgresAddress; problems: string[]; warnings: string[] } {
  const problems: string[] = []
  const warnings: string[] = []
  const complain = (sentence: string) => void problems.push(`${name}: ${sentence}`)
  const [, authority = '', rest = ''] = /^[a-z]+:\/\/([^/?#]*)(.*)$/is.exec(text) ?? []
  const at = authority.lastIndexOf('@')
  const [pathname = '', ...query] = rest.replace(/^\//, '').split('?')
  if (!isPostgresUrl(text)) problems.push(`${name} must begin with postgres:// or postgresql://.`)
  else if (rest.includes('#') || query.length > 1 || (at === -1 && rest.includes('@')) || pathname.includes('@'))
    complain(`it cannot be taken apart. ${PERCENT_ENCODE}`)
  const decode = (encoded: string, part: string): string => {
    try {
      const decoded = decodeURIComponent(encoded)
      if (!decoded.includes('\0')) return decoded
    } catch {}
    complain(`its ${part} has a % that begins no percent-encoded character. Write % as %25.`)
    return ''
  }
  const parameters = readParameters(query[0] ?? '', decode)
  const take = (key: string): string | null => {
    const value = parameters.get(key) ?? null
    parameters.delete(key)
    return value === '' ? null : value
  }
  const choose = <Choice extends string>(key: string, choices: readonly Choice[], fallback: Choice): Choice => {
    const value = take(key)
    const chosen = choices.find((choice) => choice === value)
    if (value !== null && chosen === undefined) complain(`${key} must be one of ${choices.join(', ')}.`)
    return chosen ?? fallback
  }
  const [user, password] = readCredentials(authority.slice(0, Math.max(at, 0)), decode)
  // Its own variables first: libpq lets them outrank what stands before them.
  const isPasswordApart = parameters.has('password')
  const address = {
    user: take('user') ?? user,
    password: take('password') ?? password,
    database: take('dbname') ?? (decode(pathname, 'database') || null),
    hosts: readHosts(authority.slice(at + 1), { take, decode, complain }),
    tls: readTls({ take, choose, complain }),
    channelBinding: choose('channel_binding', CHANNEL_BINDINGS, 'prefer'),
    connectTimeoutSeconds: readTimeout(take('connect_timeout'), complain),
    options: take('options'),
    isWritable: readAttributes(take('target_session_attrs'), complain),
  }
  if (address.channelBinding === 'require' && ['disable', 'allow', 'prefer'].includes(address.tls.mode))
    complain('channel_binding=require needs sslmode=require, verify-ca or verify-full: it is a property of TLS.')
  const ignored = [...parameters.keys()].filter((key) => !WITHOUT_EFFECT.test(key))
  // After a password with an unencoded & stands one of its pieces, which looks like a parameter.
  const named = isPasswordApart ? [] : ignored.filter((key) => /^[a-z][a-z_]{0,40}$/i.test(key))
  for (const key of named) {
    const advice = ADVICE[key]
    warnings.push(`${name}: its parameter ${key} is ignored${advice === undefined ? '.' : `; ${advice}.`}`)
  }
  if (ignored.length > named.length)
    warnings.push(
      `${name}: ${ignored.length - named.length} of its parameters are not known and are ignored. ${PERCENT_ENCODE} & is %26.`,
    )
  return { address, problems, warnings }
}

type Decode = (encoded: string, part: string) => string
type Reading = {
  take(key: string): string | null
  complain(sentence: string): void
  decode: Decode
  choose<Choice extends string>(key: string, choices: readonly Choice[], fallback: Choice): Choice
}

function readParameters(query: string, decode: Decode): Map<string, string> {
  const pairs = query.split('&').filter(Boolean)
  return new Map(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      const [key, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
      return [decode(key, 'query'), decode(value, 'query')]
    }),
  )
}

function readCredentials(text: string, decode: Decode): [user: string | null, password: string | null] {
  const colon = text.indexOf(':')
  const [user, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  return [decode(user, 'user') || null, decode(password, 'password') || null]
}

function readHosts(
  authority: string,
  { take, decode, complain }: Pick<Reading, 'take' | 'decode' | 'complain'>,
): [PostgresHost, ...PostgresHost[]] {
  const fromAuthority = authority.split(',').map((entry) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(entry) ?? [null, null, '', 'none']
    return { host: bracketed ?? decode(plain ?? '', 'host'), port: port ?? '' }
  })
  const given = take('host')?.split(',') ?? null
  const addresses = take('hostaddr')?.split(',') ?? []
  const ports = take('port')?.split(',') ?? []
  const entries = (given ?? (addresses.length > 0 && authority === '' ? addresses : null))?.map((host) => ({
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: fromAuthority[0]?.port ?? '',
  }))
  const hosts = (entries ?? fromAuthority).map(({ host, port }, index) => {
    // One port may serve for all hosts, as libpq has it.
    const text = ports[index] ?? (ports.length === 1 ? ports[0] : undefined) ?? port
    const number = text === '' ? 5432 : Number(text)
    if (!/^\d*$/.test(text) || number < 1 || number > 65_535)
      complain(`the port of a host must be a number from 1 to 65535. ${PERCENT_ENCODE}`)
    return { host: host || 'localhost', address: addresses[index] ?? (host || 'localhost'), port: number }
  })
  const [first, ...others] = hosts
  if (first === undefined) throw new Error('Bug: split gives at least one host')
  return [first, ...others]
}

function readTls({ take, choose, complain }: Pick<Reading, 'take' | 'choose' | 'complain'>): PostgresTls {
  // How JDBC and many providers write sslmode=require; libpq takes it too.
  const short = take('ssl')
  const rootFile = take('sslrootcert')
  const fallback = short === 'true' || short === '1' ? 'require' : rootFile === 'system' ? 'verify-full' : 'prefer'
  const asked = choose('sslmode', SSL_MODES, fallback)
  if (rootFile === 'system' && asked !== 'verify-full')
    complain('sslrootcert=system needs sslmode=verify-full: everybody can get a certificate of a public authority.')
  const usual = path.join(homedir(), '.postgresql', 'root.crt')
  const file = rootFile ?? (existsSync(usual) ? usual : null)
  const roots = file === null || file === 'system' ? null : readPem(file, 'sslrootcert', complain)
  // As libpq does, for the sake of those who gave a root certificate to have it looked at.
  const mode = asked === 'require' && roots !== null ? 'verify-ca' : asked
  if (mode === 'verify-ca' && roots === null && problemFree(file))
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

// A file that cannot be read has been complained about.
function problemFree(file: string | null): boolean {
  return file === null || file === 'system'
}

function readPem(file: string, parameter: string, complain: Reading['complain']): string | null {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.includes('-----BEGIN ')) return text
    complain(`the file that ${parameter} names holds no PEM (it has no line "-----BEGIN …").`)
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : 'error'
    complain(`the file that ${parameter} names cannot be read (${reason}).`)
  }
  return null
}

function readTimeout(text: string | null, complain: Reading['complain']): number {
  if (text === null) return CONNECT_TIMEOUT_SECONDS_SECONDS
  if (/^\d{1,4}$/.test(text)) {
    // libpq: 0 waits for ever, which a gateway must not, and anything else is 2 at least.
    return Number(text) === 0 ? CONNECT_TIMEOUT_SECONDS_SECONDS : Math.max(Number(text), 2)
  }
  complain('connect_timeout must be a number of seconds.')
  return CONNECT_TIMEOUT_SECONDS_SECONDS
}

function readAttributes(text: string | null, complain: Reading['complain']): boolean {
  if (text !== null && !WRITABLE.includes(text))
    complain(`target_session_attrs must be one of ${WRITABLE.join(', ')}: the gateway writes.`)
  return text !== 'any'
}
