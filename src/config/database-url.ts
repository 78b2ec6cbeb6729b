// Parses the address of a PostgreSQL server with the meaning that libpq gives it.
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING)
//
// No message of this file quotes a part of the address that may contain a piece of its password.
import { type AddressParameters, type PostgresTls, parseTls } from './database-tls.ts'

const CHANNEL_BINDINGS = ['disable', 'prefer', 'require'] as const
// The gateway writes, so only these values of target_session_attrs lead to a usable server.
const WRITABLE = ['any', 'read-write', 'primary']

/**
 * One host to try. `host` is the name that the certificate must have, or the directory of a Unix
 * socket.
 */
export type PostgresHost = Readonly<{ host: string; address: string; port: number }>

/** A parsed address. */
export type PostgresAddress = Readonly<{
  hosts: readonly [PostgresHost, ...PostgresHost[]]
  /** Null means the driver's default: PGUSER, or the user of the process. */
  user: string | null
  /** Null means PGPASSWORD, or no password. */
  password: string | null
  database: string | null
  tls: PostgresTls
  channelBinding: (typeof CHANNEL_BINDINGS)[number]
  connectTimeoutSeconds: number
  /** Command-line options for the server process. */
  options: string | null
  /** True to skip hosts that accept no writes. */
  isWritable: boolean
}>

const PERCENT_ENCODE =
  'If the user or the password contains one of the characters / ? # [ ] @ or %, percent-encode it: / is %2F, ? is %3F, # is %23, [ is %5B, ] is %5D, @ is %40, % is %25.'

// The limit for one connection when connect_timeout is not set.
const CONNECT_TIMEOUT_SECONDS = 5

// Parameters of other libraries that the gateway ignores, with the setting to use instead.
const ADVICE: Record<string, string> = {
  pgbouncer: 'set DATABASE_POOLER=transaction if this is the address of a pooler in transaction mode',
  application_name: 'the gateway names its connections itself',
  client_encoding: 'the encoding is always UTF8',
  schema: 'the gateway uses the schema public',
}
// Parameters of libpq that have no effect on a connection from Node.
const WITHOUT_EFFECT =
  /^(keepalives|keepalives_(idle|interval|count)|tcp_user_timeout|gssencmode|sslsni|sslcompression|fallback_application_name|load_balance_hosts|uselibpqcompat)$/

/** True for a text that begins like a PostgreSQL address. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text)
}

/**
 * Parses an address with all parameters of libpq.
 * @param name the variable that contains it; every message begins with this name.
 * @returns the address, the problems (with any, the address is unusable), and warnings about
 * ignored parameters.
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
    complain(`it cannot be parsed. ${PERCENT_ENCODE}`)
  const decode = (encoded: string, part: string): string => {
    try {
      const decoded = decodeURIComponent(encoded)
      if (!decoded.includes('\0')) return decoded
    } catch {}
    complain(`its ${part} contains a % that is not part of a percent-encoded character. Write % as %25.`)
    return ''
  }
  const parameters = parseParameters(query[0] ?? '', decode)
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
  const [user, password] = parseCredentials(authority.slice(0, Math.max(at, 0)), decode)
  // As in libpq, a query parameter overrides the same value in the authority or path.
  const isPasswordApart = parameters.has('password')
  const address = {
    user: take('user') ?? user,
    password: take('password') ?? password,
    database: take('dbname') ?? (decode(pathname, 'database') || null),
    hosts: parseHosts(authority.slice(at + 1), { take, decode, complain }),
    tls: parseTls({ take, choose, complain }),
    channelBinding: choose('channel_binding', CHANNEL_BINDINGS, 'prefer'),
    connectTimeoutSeconds: parseTimeout(take('connect_timeout'), complain),
    options: take('options'),
    isWritable: parseAttributes(take('target_session_attrs'), complain),
  }
  if (address.channelBinding === 'require' && ['disable', 'allow', 'prefer'].includes(address.tls.mode))
    complain('channel_binding=require needs sslmode=require, verify-ca or verify-full: it is a property of TLS.')
  const ignored = [...parameters.keys()].filter((key) => !WITHOUT_EFFECT.test(key))
  // A piece of a password after an unencoded & looks like a parameter, so its name is not quoted.
  const named = isPasswordApart ? [] : ignored.filter((key) => /^[a-z][a-z_]{0,40}$/i.test(key))
  for (const key of named) {
    const advice = ADVICE[key]
    warnings.push(`${name}: its parameter ${key} is ignored${advice === undefined ? '.' : `; ${advice}.`}`)
  }
  if (ignored.length > named.length)
    warnings.push(
      `${name}: ${ignored.length - named.length} of its parameters are unknown and ignored. ${PERCENT_ENCODE} & is %26.`,
    )
  return { address, problems, warnings }
}

type Decode = (encoded: string, part: string) => string

function parseParameters(query: string, decode: Decode): Map<string, string> {
  const pairs = query.split('&').filter(Boolean)
  return new Map(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      const [key, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
      return [decode(key, 'query'), decode(value, 'query')]
    }),
  )
}

function parseCredentials(text: string, decode: Decode): [user: string | null, password: string | null] {
  const colon = text.indexOf(':')
  const [user, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
  return [decode(user, 'user') || null, decode(password, 'password') || null]
}

function parseHosts(
  authority: string,
  { take, complain, decode }: Pick<AddressParameters, 'take' | 'complain'> & { decode: Decode },
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
    // As in libpq, a single port applies to all hosts.
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

function parseTimeout(text: string | null, complain: AddressParameters['complain']): number {
  if (text === null) return CONNECT_TIMEOUT_SECONDS
  if (/^\d{1,4}$/.test(text)) {
    // In libpq 0 waits for ever, which a gateway must not do, and other values are at least 2.
    return Number(text) === 0 ? CONNECT_TIMEOUT_SECONDS : Math.max(Number(text), 2)
  }
  complain('connect_timeout must be a number of seconds.')
  return CONNECT_TIMEOUT_SECONDS
}

function parseAttributes(text: string | null, complain: AddressParameters['complain']): boolean {
  if (text !== null && !WRITABLE.includes(text))
    complain(`target_session_attrs must be one of ${WRITABLE.join(', ')}: the gateway writes.`)
  return text !== 'any'
}
