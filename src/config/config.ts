// The only reader of the environment. `.env.example` explains the same variables to whoever runs this.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import type { KeyRing } from '../crypto.ts'
import type { OutboundProxy } from '../outbound/provider-calls.ts'
import type { EgressPolicy } from '../outbound/webhook-egress.ts'
import { StartupError } from '../process/startup-error.ts'
import { type DatabaseConfig, parseDatabaseConfig } from './database-config.ts'
import { loadEncryptionKeys } from './encryption-keys.ts'
import { readEnvironmentFile } from './environment-file.ts'
import { parseHost } from './listen-address.ts'
import { parseRateLimits, type RateLimits } from './rate-limits.ts'

/** An OAuth provider's addresses and our app's credentials there. */
export type ProviderConfig<Secret extends string | null> = {
  clientId: string
  clientSecret: Secret
  /** Base URL of the pages a person visits, without a slash at the end. */
  url: string
  /** Base URL of the API, without a slash at the end. */
  apiUrl: string
}

/** All that the process is told from outside: typed, checked, frozen. */
export type Config = Readonly<{
  production: boolean
  host: string
  port: number
  /** Our own origin as browsers see it, without a slash at the end. Callback URLs are made from it and from nothing else. */
  publicUrl: string
  dataDir: string
  database: DatabaseConfig
  encryptionKeys: KeyRing
  /** Where the keys were read from, for the line printed at start. */
  encryptionKeysSource: string
  github: Readonly<ProviderConfig<string>>
  x: Readonly<ProviderConfig<string | null>>
  /** Set when the simulated GitHub and X are to be started beside the gateway. */
  sandbox: Readonly<{ port: number; followsPort: boolean }> | null
  /** Origins of front ends other than our own that may call the API with cookies and be returned to. */
  allowedOrigins: readonly string[]
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[]
  /** For calls to GitHub and X; null for none. Webhooks are sent directly. */
  outboundProxy: OutboundProxy | null
  /** Where webhooks may be sent. */
  webhookEgressPolicy: EgressPolicy
  /** What one caller may have of us. */
  rateLimits: RateLimits
  graphiql: boolean
  logLevel: string
  /** What is set and has no effect, one sentence each, for the log. */
  warnings: readonly string[]
}>

/** Configuration that the process can't start with; the message names everything that is wrong. */
export class ConfigError extends StartupError {
  constructor(problems: readonly string[]) {
    super(
      `The configuration cannot be used:\n${[...new Set(problems)].map((problem) => `  - ${problem}`).join('\n')}\n.env.example explains every variable.`,
      78,
    )
    this.name = 'ConfigError'
  }
}

type Environment = Readonly<Record<string, string | undefined>>

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
/** Credentials of our app at the sandbox, which is started with the same ones. */
export const sandboxCredentials = {
  github: { clientId: 'sandbox-github-app', clientSecret: 'sandbox-github-secret' },
  x: { clientId: 'sandbox-x-app', clientSecret: 'sandbox-x-secret' },
} as const

/** Adds the variables of a `.env` file in the working directory, if there is one; what is set already wins. @throws StartupError when it cannot be read. */
export function loadEnvironment(): Environment {
  for (const [name, value] of Object.entries(readEnvironmentFile('.'))) process.env[name] ??= value
  return process.env
}

/**
 * Reads and checks the whole configuration.
 *
 * Outside production it makes what is missing: an encryption key in a file of ours, and the sandbox for credentials.
 * @throws ConfigError naming every problem at once.
 */
export function parseConfig(env: Environment): Config {
  const problems: string[] = []
  const warnings: string[] = []
  const get = (name: string): string | null => readVariable(env, name, problems)
  const production = get('NODE_ENV') === 'production'
  const port = readPort(get('PORT'), 'PORT', 3000, problems)
  const publicUrl = readOrigin(get('PUBLIC_URL'), 'PUBLIC_URL', `http://127.0.0.1:${port}`, problems)
  if (production && get('PUBLIC_URL') === null)
    problems.push('PUBLIC_URL is missing: the https origin that browsers use for this gateway.')
  const dataDir = path.resolve(get('DATA_DIR') ?? '.data')
  const database = parseDatabaseConfig(get, { production, dataDir }, { problems, warnings })
  const providers = readProviders(get, { production, port }, problems)
  const keys = loadEncryptionKeys(get, { production, dataDir, mayCreate: problems.length === 0 }, problems)
  const logLevel = get('LOG_LEVEL') ?? 'info'
  if (!LOG_LEVELS.includes(logLevel)) problems.push(`LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`)
  const config: Omit<Config, 'encryptionKeys'> = {
    production,
    host: parseHost(get('HOST'), production ? '0.0.0.0' : '127.0.0.1', problems),
    port,
    publicUrl,
    dataDir,
    database,
    encryptionKeysSource: keys.source,
    ...providers,
    allowedOrigins: readList(get('ALLOWED_ORIGINS')).map((text) => readOrigin(text, 'ALLOWED_ORIGINS', '', problems)),
    trustedProxies: readProxies(get('TRUSTED_PROXIES'), problems),
    outboundProxy: readOutboundProxy(get, problems),
    webhookEgressPolicy: parseEgressPolicy(get('WEBHOOK_EGRESS'), production, problems),
    rateLimits: parseRateLimits(get('RATE_LIMITS'), problems),
    graphiql: readSwitch(get('GRAPHIQL'), 'GRAPHIQL', !production, problems),
    logLevel,
    warnings,
  }
  const [first, ...others] = keys.ring
  if (problems.length > 0 || first === undefined) throw new ConfigError(problems)
  return Object.freeze({ ...config, encryptionKeys: [first, ...others] as const })
}

/** The configuration with both providers' addresses at a sandbox that has just been started. */
export function withSandboxUrl(config: Config, url: string): Config {
  return Object.freeze({
    ...config,
    github: { ...config.github, url, apiUrl: url },
    x: { ...config.x, url, apiUrl: url },
  })
}

function readVariable(env: Environment, name: string, problems: string[]): string | null {
  const value = env[name]?.trim()
  const file = env[`${name}_FILE`]?.trim()
  // ENCRYPTION_KEYS_FILE is read where its permissions are checked.
  if (file && name !== 'ENCRYPTION_KEYS') {
    if (value) problems.push(`${name} and ${name}_FILE are both set: keep one.`)
    try {
      return readFileSync(file, 'utf8').trim() || null
    } catch {
      problems.push(`${name}_FILE names ${file}, which cannot be read.`)
    }
  }
  return value || null
}

function readProviders(
  get: (name: string) => string | null,
  { production, port }: { production: boolean; port: number },
  problems: string[],
): Pick<Config, 'github' | 'x' | 'sandbox'> {
  const needed = ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']
  const missing = needed.filter((name) => get(name) === null)
  const choice = get('SANDBOX') ?? 'auto'
  if (!['auto', 'on', 'off'].includes(choice)) problems.push('SANDBOX must be auto, on or off.')
  if (production && choice === 'on') problems.push('SANDBOX=on is refused with NODE_ENV=production.')
  const noneSet = missing.length === needed.length && get('X_CLIENT_SECRET') === null
  if (!production && (choice === 'on' || (choice === 'auto' && noneSet))) {
    const given = get('SANDBOX_PORT')
    const sandboxPort = readPort(given, 'SANDBOX_PORT', port === 0 ? 0 : port + 1, problems)
    const url = `http://localhost:${sandboxPort}`
    return {
      github: { ...sandboxCredentials.github, url, apiUrl: url },
      x: { ...sandboxCredentials.x, url, apiUrl: url },
      sandbox: { port: sandboxPort, followsPort: given === null },
    }
  }
  for (const name of missing)
    problems.push(`${name} is missing: copy it from the app you registered (docs/operating.md).`)
  return {
    github: {
      clientId: get('GITHUB_CLIENT_ID') ?? '',
      clientSecret: get('GITHUB_CLIENT_SECRET') ?? '',
      url: readProviderUrl(get, 'GITHUB_URL', 'https://github.com', problems),
      apiUrl: readProviderUrl(get, 'GITHUB_API_URL', 'https://api.github.com', problems),
    },
    x: {
      clientId: get('X_CLIENT_ID') ?? '',
      clientSecret: get('X_CLIENT_SECRET'),
      // X's pages at twitter.com do not share the login of x.com: a person would connect another account there.
      url: withoutTwitter(readProviderUrl(get, 'X_URL', 'https://x.com', problems)),
      apiUrl: readProviderUrl(get, 'X_API_URL', 'https://api.x.com', problems),
    },
    sandbox: null,
  }
}

function readList(text: string | null): string[] {
  return (text ?? '').split(/[,\s]+/).filter((entry) => entry !== '')
}

function readProxies(text: string | null, problems: string[]): string[] {
  return readList(text).filter((entry) => {
    const [address = '', prefix, ...rest] = entry.split('/')
    const bits = isIP(address) === 6 ? 128 : 32
    const valid =
      isIP(address) !== 0 &&
      rest.length === 0 &&
      (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
    if (!valid) problems.push(`TRUSTED_PROXIES: "${entry}" is not an address or a range such as 10.0.0.0/8.`)
    return valid
  })
}

// In capitals or not, as other programs read them.
function readOutboundProxy(get: (name: string) => string | null, problems: string[]): OutboundProxy | null {
  const name = get('HTTPS_PROXY') === null ? 'https_proxy' : 'HTTPS_PROXY'
  const text = get(name)
  if (text === null) return null
  const url = parseUrl(text)
  if (url === null || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    // Without its text, which may hold a password in a place where none is looked for.
    problems.push(`${name} must be a URL such as http://proxy.example.com:3128, with http:// or https:// in front.`)
    return null
  }
  return { url: url.href, except: get('NO_PROXY') ?? get('no_proxy') ?? '' }
}

function readPort(text: string | null, name: string, fallback: number, problems: string[]): number {
  if (text === null) return fallback
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  problems.push(`${name} must be a port number from 0 to 65535.`)
  return fallback
}

function readSwitch(text: string | null, name: string, fallback: boolean, problems: string[]): boolean {
  if (text !== null && text !== 'on' && text !== 'off') problems.push(`${name} must be on or off.`)
  return text === null ? fallback : text === 'on'
}

function parseEgressPolicy(text: string | null, production: boolean, problems: string[]): EgressPolicy {
  if (text !== null && text !== 'public' && text !== 'loopback')
    problems.push('WEBHOOK_EGRESS must be public or loopback.')
  if (text === 'loopback' && production)
    problems.push(
      'WEBHOOK_EGRESS=loopback is refused with NODE_ENV=production: users would reach this machine through it.',
    )
  return text === 'loopback' ? 'LOOPBACK' : 'PUBLIC'
}

function readOrigin(text: string | null, name: string, fallback: string, problems: string[]): string {
  if (text === null) return fallback
  const url = parseUrl(text)
  if (
    url === null ||
    (url.pathname !== '/' && url.pathname !== '') ||
    url.search !== '' ||
    url.hash !== '' ||
    hasCredentials(url)
  ) {
    problems.push(`${name}: "${withoutPassword(text)}" is not an origin such as https://app.example.com.`)
    return fallback
  }
  if (!isSafeTransport(url))
    problems.push(`${name}: "${text}" must be https (http only on 127.0.0.1, localhost or [::1]).`)
  return url.origin
}

function readProviderUrl(
  get: (name: string) => string | null,
  name: string,
  fallback: string,
  problems: string[],
): string {
  const text = get(name) ?? fallback
  const url = parseUrl(text)
  if (url === null || url.search !== '' || url.hash !== '' || hasCredentials(url))
    problems.push(`${name}: "${withoutPassword(text)}" is not a URL such as ${fallback}.`)
  else if (!isSafeTransport(url))
    problems.push(`${name}: "${text}" must be https (http only on 127.0.0.1, localhost or [::1]).`)
  return text.replace(/\/+$/, '')
}

function withoutTwitter(url: string): string {
  return /^(www\.|mobile\.)?twitter\.com$/.test(URL.parse(url)?.hostname ?? '') ? 'https://x.com' : url
}

function hasCredentials(url: URL): boolean {
  return url.username !== '' || url.password !== ''
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, '//…@')
}

function parseUrl(text: string): URL | null {
  const url = URL.parse(text)
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : null
}

function isSafeTransport(url: URL): boolean {
  return (
    url.protocol === 'https:' ||
    ['localhost', '[::1]'].includes(url.hostname) ||
    /^127\.\d+\.\d+\.\d+$/.test(url.hostname)
  )
}
