// The configuration. No other file of the gateway reads the environment. `.env.example` explains
// the same variables to operators.
import path from 'node:path'
import type { KeyRing } from '../crypto.ts'
import type { OutboundProxy } from '../outbound/provider-calls.ts'
import type { EgressPolicy } from '../outbound/webhook-egress.ts'
import { DEFAULT_MAX_STREAMS } from '../process/event-streams.ts'
import { StartupError } from '../process/startup-error.ts'
import { type DatabaseConfig, parseDatabaseConfig } from './database-config.ts'
import { loadEncryptionKeys } from './encryption-keys.ts'
import { readEnvironmentFile } from './environment-file.ts'
import { type ListenAddress, parseHost, parseMetricsAddress } from './listen-address.ts'
import { parseEgressPolicy, parseOutboundProxy, parseTrustedProxies } from './network-config.ts'
import { type ProvidersConfig, parseProviders } from './provider-config.ts'
import { parseRateLimits, type RateLimits } from './rate-limits.ts'
import { parseSignIn, type SignInConfig } from './sign-in-config.ts'
import { parseUserLimits, type UserLimits } from './user-limits.ts'
import {
  type Environment,
  parseCount,
  parseList,
  parseOrigin,
  parsePort,
  parseSwitch,
  readVariable,
} from './variables.ts'

/** The configuration of the process, validated and frozen. */
export type Config = Readonly<{
  production: boolean
  host: string
  port: number
  /**
   * The gateway's origin as browsers see it, without a trailing slash. Callback URLs are built from
   * it alone.
   */
  publicUrl: string
  dataDir: string
  database: DatabaseConfig
  encryptionKeys: KeyRing
  /** The variable or file that the keys come from, for the log line at startup. */
  encryptionKeysSource: string
  /**
   * Origins of front ends that may call the API with cookies, and that sign-in and connecting may
   * redirect back to.
   */
  allowedOrigins: readonly string[]
  /** Addresses and CIDR ranges of proxies whose X-Forwarded-For is trusted. */
  trustedProxies: readonly string[]
  /** The proxy for calls to GitHub and X; null for none. Webhooks are sent directly. */
  outboundProxy: OutboundProxy | null
  /** The addresses that webhooks may be sent to. */
  webhookEgressPolicy: EgressPolicy
  /** Who may sign in. */
  signIn: SignInConfig
  /** The rate limits of one caller; null when they are off. */
  rateLimits: RateLimits
  /** What one user may have at once. */
  userLimits: UserLimits
  /** The maximum of event streams that are open at this instance. */
  maxEventStreams: number
  /** The most bytes of the JSON that an operation, or one event of a stream, responds with. */
  maxResponseBytes: number
  graphiql: boolean
  logLevel: string
  /** Where /metrics is served; null for nowhere. */
  metrics: ListenAddress | null
  /** A sentence for each setting that has no effect, for the log. */
  warnings: readonly string[]
}> &
  ProvidersConfig

/** The configuration is invalid. The message lists every problem. */
export class ConfigError extends StartupError {
  constructor(problems: readonly string[]) {
    super(
      `The configuration cannot be used:\n${[...new Set(problems)].map((problem) => `  - ${problem}`).join('\n')}\n.env.example explains every variable.`,
      78,
    )
    this.name = 'ConfigError'
  }
}

// The introspection of tools, of up to 450,000 characters, has to fit into the least.
const RESPONSE_BYTES = { least: 500_000, most: 100_000_000 }
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
// Node prints `process.env` in its diagnostic reports. `report.excludeEnv` does not cover all:
// Node ignores it in a report on memory that was exhausted outside of JavaScript.
const SECRET_VARIABLES = [
  'ENCRYPTION_KEYS',
  'GITHUB_CLIENT_SECRET',
  'X_CLIENT_SECRET',
  'X_APP_BEARER_TOKEN',
  'X_API_SECRET',
  'DATABASE_URL',
  'DATABASE_DIRECT_URL',
  'HTTPS_PROXY',
  'https_proxy',
]

/**
 * Returns the environment, with the variables of the file `.env` in the working directory where
 * they are not set. Secrets are removed from `process.env`: they are in the returned copy alone.
 * @throws StartupError when the file cannot be read.
 */
export function loadEnvironment(): Environment {
  for (const [name, value] of Object.entries(readEnvironmentFile('.'))) process.env[name] ??= value
  const environment = { ...process.env }
  for (const name of SECRET_VARIABLES) delete process.env[name]
  return environment
}

/**
 * Parses the whole configuration. Outside production it creates a missing encryption key in the
 * data directory, and replaces missing credentials by the sandbox.
 * @throws ConfigError with every problem at once.
 */
export function parseConfig(env: Environment): Config {
  const problems: string[] = []
  const warnings: string[] = []
  const get = (name: string): string | null => readVariable(env, name, { problems, warnings })
  const production = get('NODE_ENV') === 'production'
  const port = parsePort(get('PORT'), 'PORT', 3000, problems)
  const publicUrl = parseOrigin(get('PUBLIC_URL'), 'PUBLIC_URL', `http://127.0.0.1:${port}`, problems)
  if (production && get('PUBLIC_URL') === null)
    problems.push('PUBLIC_URL is missing: the https origin that browsers use for this gateway.')
  const dataDir = path.resolve(get('DATA_DIR') ?? '.data')
  const database = parseDatabaseConfig(get, { production, dataDir }, { problems, warnings })
  const providers = parseProviders(get, { production, port }, problems)
  const keys = loadEncryptionKeys(
    get,
    { production, dataDir, mayCreate: problems.length === 0 },
    { problems, warnings },
  )
  const logLevel = get('LOG_LEVEL') ?? 'info'
  if (!LOG_LEVELS.includes(logLevel)) problems.push(`LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}.`)
  const host = parseHost(get('HOST'), 'HOST', production ? '0.0.0.0' : '127.0.0.1', problems)
  const config: Omit<Config, 'encryptionKeys'> = {
    production,
    host,
    port,
    publicUrl,
    dataDir,
    database,
    encryptionKeysSource: keys.source,
    ...providers,
    allowedOrigins: parseList(get('ALLOWED_ORIGINS')).map((text) => parseOrigin(text, 'ALLOWED_ORIGINS', '', problems)),
    trustedProxies: parseTrustedProxies(get('TRUSTED_PROXIES'), problems),
    outboundProxy: parseOutboundProxy(get, problems),
    webhookEgressPolicy: parseEgressPolicy(get('WEBHOOK_EGRESS'), production, problems),
    signIn: parseSignIn(get, problems),
    rateLimits: parseRateLimits(get('RATE_LIMITS'), problems),
    userLimits: parseUserLimits(get, problems),
    maxEventStreams: parseCount(
      get('MAX_EVENT_STREAMS'),
      { name: 'MAX_EVENT_STREAMS', things: 'streams', most: 100_000 },
      DEFAULT_MAX_STREAMS,
      problems,
    ),
    maxResponseBytes: parseCount(
      get('MAX_RESPONSE_BYTES'),
      { name: 'MAX_RESPONSE_BYTES', things: 'bytes', ...RESPONSE_BYTES },
      2_000_000,
      problems,
    ),
    graphiql: parseSwitch(get('GRAPHIQL'), 'GRAPHIQL', !production, problems),
    logLevel,
    metrics: parseMetricsAddress(get, { host, port }, problems),
    warnings,
  }
  const [first, ...others] = keys.ring
  if (problems.length > 0 || first === undefined) throw new ConfigError(problems)
  return Object.freeze({ ...config, encryptionKeys: [first, ...others] as const })
}

/**
 * Returns the configuration with the URLs of both providers replaced by that of the running
 * sandbox.
 */
export function withSandboxUrl(config: Config, url: string): Config {
  return Object.freeze({
    ...config,
    github: { ...config.github, url, apiUrl: url },
    x: { ...config.x, url, apiUrl: url },
  })
}
