import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Config, ConfigError, parseConfig } from '../../src/config/config.ts'
import { defaultRateLimits } from '../../src/config/rate-limits.ts'
import { prepareDataDirectories, production, SECRET } from '../support/config-environment.ts'

const { newDirectory, problemsOf } = prepareDataDirectories()

describe('with nothing configured', () => {
  test('runs on the embedded database and the sandbox, with a generated key in a file that only this user can read', () => {
    const dataDir = newDirectory()
    const config = parseConfig({ DATA_DIR: dataDir })
    expect(config).toMatchObject({
      production: false,
      host: '127.0.0.1',
      port: 3000,
      publicUrl: 'http://127.0.0.1:3000',
      database: { kind: 'pglite', directory: join(dataDir, 'pglite') },
      sandbox: { port: 3001, followsPort: true },
      webhookEgressPolicy: 'PUBLIC',
      graphiql: true,
      logLevel: 'info',
      allowedOrigins: [],
      trustedProxies: [],
      rateLimits: defaultRateLimits,
    } satisfies Partial<Config>)
    const file = join(dataDir, 'encryption-keys')
    expect(config.encryptionKeysSource).toBe(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(parseConfig({ DATA_DIR: dataDir }).encryptionKeys).toEqual(config.encryptionKeys)
    expect(parseConfig({ DATA_DIR: newDirectory() }).encryptionKeys).not.toEqual(config.encryptionKeys)
  })

  test('creates no key when the start is refused', () => {
    const dataDir = newDirectory()
    expect(() => parseConfig({ DATA_DIR: dataDir, PORT: 'x' })).toThrow(ConfigError)
    expect(existsSync(dataDir)).toBe(false)
  })

  test('the configuration cannot be changed', () => {
    expect(Object.isFrozen(parseConfig({ DATA_DIR: newDirectory() }))).toBe(true)
  })
})

test('DATABASE_POOL_SIZE is a number of connections from 1 to 1000', () => {
  const sizeOf = (size: string) =>
    parseConfig({ DATA_DIR: newDirectory(), DATABASE_URL: 'postgres://127.0.0.1/x', DATABASE_POOL_SIZE: size }).database
  expect(['1', '25', '1000'].map(sizeOf)).toMatchObject([{ poolSize: 1 }, { poolSize: 25 }, { poolSize: 1_000 }])
  for (const size of ['0', '-1', '1001', '2.5', '1e2', 'ten'])
    expect(() => sizeOf(size)).toThrow('DATABASE_POOL_SIZE must be a number of connections from 1 to 1000.')
})

test('MAX_EVENT_STREAMS is a number of streams from 1 to 100000', () => {
  const numberOf = (streams: string) =>
    parseConfig({ DATA_DIR: newDirectory(), MAX_EVENT_STREAMS: streams }).maxEventStreams
  expect(['', '1', '10000', '100000'].map(numberOf)).toEqual([500, 1, 10_000, 100_000])
  for (const streams of ['0', '-1', '100001', '2.5', 'off'])
    expect(() => numberOf(streams)).toThrow('MAX_EVENT_STREAMS must be a number of streams from 1 to 100000.')
})

test('MAX_RESPONSE_BYTES is a number of bytes from 500000 to 100000000', () => {
  const numberOf = (bytes: string) =>
    parseConfig({ DATA_DIR: newDirectory(), MAX_RESPONSE_BYTES: bytes }).maxResponseBytes
  expect(['', '500000', '100000000'].map(numberOf)).toEqual([2_000_000, 500_000, 100_000_000])
  for (const bytes of ['0', '499999', '100000001', '2MB', 'off'])
    expect(() => numberOf(bytes)).toThrow('MAX_RESPONSE_BYTES must be a number of bytes from 500000 to 100000000.')
})

const REQUIRED = [
  'PUBLIC_URL',
  'DATABASE_URL',
  'ENCRYPTION_KEYS',
  'GITHUB_CLIENT_ID',
  'GITHUB_CLIENT_SECRET',
  'X_CLIENT_ID',
]

describe('production', () => {
  test('starts with everything set', () => {
    expect(parseConfig(production())).toMatchObject({
      production: true,
      host: '0.0.0.0',
      publicUrl: 'https://gateway.example.com',
      database: { kind: 'postgres' },
      github: { url: 'https://github.com', apiUrl: 'https://api.github.com' },
      x: { url: 'https://x.com', apiUrl: 'https://api.x.com' },
      sandbox: null,
      graphiql: false,
    })
  })

  test('names every missing variable at once, and creates no default for it', () => {
    let message = ''
    try {
      parseConfig({ NODE_ENV: 'production' })
    } catch (error) {
      message = String(error)
    }
    for (const name of REQUIRED) expect(message).toContain(`- ${name} `)
    expect(message).not.toContain('- X_CLIENT_SECRET')
  })

  test.each(REQUIRED)('refuses to start without %s, and names only that', (name) => {
    const problems = problemsOf({ ...production(), [name]: undefined, DATA_DIR: undefined })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(new RegExp(`^${name}\\b.* missing`))
  })

  test('refuses the sandbox', () => {
    expect(problemsOf({ ...production(), SANDBOX: 'on' })).toEqual([expect.stringContaining('SANDBOX=on')])
    const without = {
      ...production(),
      GITHUB_CLIENT_ID: '',
      GITHUB_CLIENT_SECRET: '',
      X_CLIENT_ID: '',
      X_CLIENT_SECRET: '',
    }
    expect(problemsOf(without)).toHaveLength(3)
  })

  test('sends webhooks to public addresses only; outside production WEBHOOK_EGRESS may allow this machine', () => {
    expect(parseConfig(production()).webhookEgressPolicy).toBe('PUBLIC')
    expect(problemsOf({ ...production(), WEBHOOK_EGRESS: 'loopback' })).toEqual([
      expect.stringContaining('WEBHOOK_EGRESS=loopback'),
    ])
    expect(parseConfig({ DATA_DIR: newDirectory(), WEBHOOK_EGRESS: 'loopback' }).webhookEgressPolicy).toBe('LOOPBACK')
  })

  test('accepts a public X client, and the embedded database when DATA_DIR is set', () => {
    expect(parseConfig({ ...production(), X_CLIENT_SECRET: '' }).x.clientSecret).toBeNull()
    const dataDir = newDirectory()
    const config = parseConfig({ ...production(), DATABASE_URL: '', DATA_DIR: dataDir })
    expect(config.database).toEqual({ kind: 'pglite', directory: join(dataDir, 'pglite') })
  })
})

test('one message names every problem', () => {
  const problems = problemsOf({
    PORT: '70000',
    PUBLIC_URL: 'gateway.example.com',
    DATABASE_URL: 'mysql://x',
    ENCRYPTION_KEYS: ',',
    SANDBOX: 'maybe',
    GITHUB_CLIENT_ID: 'id',
    GITHUB_URL: 'ftp://github.com',
    ALLOWED_ORIGINS: 'https://good.example.com,http://bad.example.com',
    TRUSTED_PROXIES: '10.0.0.0/8 not-an-address 10.0.0.0/99',
    WEBHOOK_EGRESS: 'any',
    GRAPHIQL: 'yes',
    LOG_LEVEL: 'loud',
  })
  const named = [
    'PORT',
    'PUBLIC_URL',
    'DATABASE_URL',
    'ENCRYPTION_KEYS',
    'SANDBOX',
    'GITHUB_CLIENT_SECRET',
    'X_CLIENT_ID',
    'GITHUB_URL',
    'ALLOWED_ORIGINS',
    'WEBHOOK_EGRESS',
    'GRAPHIQL',
    'LOG_LEVEL',
  ]
  for (const name of named)
    expect(
      problems.filter((problem) => problem.startsWith(name)),
      name,
    ).toHaveLength(1)
  expect(problems.filter((problem) => problem.startsWith('TRUSTED_PROXIES'))).toHaveLength(2)
})

test.each([
  [{ GITHUB_CLIENT_ID: 'id' }, ['GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']],
  [{ GITHUB_CLIENT_SECRET: SECRET }, ['GITHUB_CLIENT_ID', 'X_CLIENT_ID']],
  [{ X_CLIENT_ID: 'id' }, ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET']],
  [{ X_API_KEY: 'key' }, ['X_API_KEY']],
  [{ X_API_SECRET: SECRET }, ['X_API_KEY']],
  [{ X_APP_ID: 'my-app' }, ['X_APP_ID']],
  [{ X_CLIENT_SECRET: SECRET }, ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']],
  [{ SANDBOX: 'off' }, ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']],
])('some credentials without the others are refused, and do not start the sandbox: %o', (environment, missing) => {
  expect(problemsOf(environment).map((problem) => problem.split(' ')[0])).toEqual(missing)
})

test.each([
  ['MAX_ACCOUNTS_PER_USER', 'accounts', 100, 'X accounts', 10_000],
  ['MAX_WEBHOOK_ENDPOINTS_PER_USER', 'webhookEndpoints', 10, 'webhook endpoints', 100],
  ['MAX_API_TOKENS_PER_USER', 'apiTokens', 50, 'API tokens', 1_000],
  ['MAX_EVENT_STREAMS_PER_USER', 'eventStreams', 5, 'streams', 1_000],
] as const)('%s is a number from 1', (name, limit, byDefault, things, most) => {
  const limitOf = (text: string) => parseConfig({ DATA_DIR: newDirectory(), [name]: text }).userLimits[limit]
  expect(['', '1', String(most)].map(limitOf)).toEqual([byDefault, 1, most])
  for (const text of ['0', '-1', String(most + 1), '2.5', 'off'])
    expect(() => limitOf(text)).toThrow(`${name} must be a number of ${things} from 1 to ${most}.`)
})
