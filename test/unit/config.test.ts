import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Config, ConfigError, parseConfig } from '../../src/config/config.ts'
import { defaultRateLimits } from '../../src/config/rate-limits.ts'
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'

let directory: TemporaryDirectory
let lastDirectory = 0
beforeAll(async () => {
  directory = await makeTemporaryDirectory('config')
})
afterAll(() => directory.remove())

function newDirectory(): string {
  lastDirectory += 1
  return join(directory.path, String(lastDirectory))
}

const newKey = (id = 'k1') => `${id}:${randomBytes(32).toString('base64')}`
const SECRET = 'hunter2-hunter2-hunter2'

const production = (): Record<string, string> => ({
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://gateway.example.com',
  DATABASE_URL: `postgres://gateway:${SECRET}@db.example.com/gateway`,
  ENCRYPTION_KEYS: newKey(),
  GITHUB_CLIENT_ID: 'github-app',
  GITHUB_CLIENT_SECRET: SECRET,
  X_CLIENT_ID: 'x-app',
  X_CLIENT_SECRET: SECRET,
})

/** What stops a start with this environment, one sentence each. */
function problemsOf(environment: Record<string, string | undefined>): string[] {
  try {
    parseConfig({ DATA_DIR: newDirectory(), ...environment })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    // The most important rule of all, at every refusal.
    expect(error.message).not.toContain(SECRET)
    return error.message
      .split('\n')
      .filter((line) => line.startsWith('  - '))
      .map((line) => line.slice(4))
  }
  return []
}

describe('with nothing configured', () => {
  test('it runs on the embedded database and the sandbox, with a key of its own making that only we can read', () => {
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

  test('no key is made for a start that is refused', () => {
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

  test('names all that is missing at once, and makes none of it', () => {
    let message = ''
    try {
      parseConfig({ NODE_ENV: 'production' })
    } catch (error) {
      message = String(error)
    }
    for (const name of [
      'PUBLIC_URL',
      'DATABASE_URL',
      'ENCRYPTION_KEYS',
      'GITHUB_CLIENT_ID',
      'GITHUB_CLIENT_SECRET',
      'X_CLIENT_ID',
    ])
      expect(message).toContain(`- ${name} `)
    expect(message).not.toContain('- X_CLIENT_SECRET')
  })

  test.each([
    'PUBLIC_URL',
    'DATABASE_URL',
    'ENCRYPTION_KEYS',
    'GITHUB_CLIENT_ID',
    'GITHUB_CLIENT_SECRET',
    'X_CLIENT_ID',
  ])('refuses to start without %s, and says only that', (name) => {
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

  test('sends webhooks to public addresses only; elsewhere this machine may be asked for', () => {
    expect(parseConfig(production()).webhookEgressPolicy).toBe('PUBLIC')
    expect(problemsOf({ ...production(), WEBHOOK_EGRESS: 'loopback' })).toEqual([
      expect.stringContaining('WEBHOOK_EGRESS=loopback'),
    ])
    expect(parseConfig({ DATA_DIR: newDirectory(), WEBHOOK_EGRESS: 'loopback' }).webhookEgressPolicy).toBe('LOOPBACK')
  })

  test('takes a public X client, and the embedded database when DATA_DIR says where', () => {
    expect(parseConfig({ ...production(), X_CLIENT_SECRET: '' }).x.clientSecret).toBeNull()
    const dataDir = newDirectory()
    const config = parseConfig({ ...production(), DATABASE_URL: '', DATA_DIR: dataDir })
    expect(config.database).toEqual({ kind: 'pglite', directory: join(dataDir, 'pglite') })
  })
})

test('every problem is named in one message', () => {
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
  [{ X_CLIENT_SECRET: SECRET }, ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']],
  [{ SANDBOX: 'off' }, ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']],
])('some credentials without the others are no sandbox but a mistake: %o', (environment, missing) => {
  expect(problemsOf(environment).map((problem) => problem.split(' ')[0])).toEqual(missing)
})

describe('RATE_LIMITS', () => {
  const read = (text: string) => parseConfig({ DATA_DIR: newDirectory(), RATE_LIMITS: text }).rateLimits

  test('changes what it names, and nothing else', () => {
    expect(read('user=1200/60, post=5/3600')).toEqual({
      ...defaultRateLimits,
      user: { limit: 1200, windowSeconds: 60 },
      post: { limit: 5, windowSeconds: 3600 },
    })
    expect(read('off')).toBeNull()
  })

  test.each([
    'on',
    'user',
    'user=600',
    'user=0/60',
    'user=600/0',
    'user=-1/60',
    'users=600/60',
    'toString=1/1',
    'off,user=1/1',
  ])('is refused where it says %s', (text) => {
    expect(problemsOf({ RATE_LIMITS: text })[0]).toMatch(
      /^RATE_LIMITS: ".+" is neither off nor one of user, token, address, sign-in, connect, post with a limit and a window in seconds/,
    )
  })
})

test.each([
  ['user=1000000000/60', 'RATE_LIMITS: the limit in "user=1000000000/60" is too large. The maximum is 999,999,999.'],
  ['post=20/1000000', 'RATE_LIMITS: the window in "post=20/1000000" is too long. The maximum is 999,999 seconds.'],
  [
    `connect=${'9'.repeat(400)}/1`,
    `RATE_LIMITS: the limit in "connect=${'9'.repeat(400)}/1" is too large. The maximum is 999,999,999.`,
  ],
])('RATE_LIMITS says which number of %s is too large', (text, problem) => {
  expect(problemsOf({ RATE_LIMITS: text })).toEqual([problem])
  const largest = parseConfig({ DATA_DIR: newDirectory(), RATE_LIMITS: 'user=999999999/999999' }).rateLimits
  expect(largest?.user).toEqual({ limit: 999_999_999, windowSeconds: 999_999 })
})

describe('HTTPS_PROXY', () => {
  const read = (environment: Record<string, string>) =>
    parseConfig({ DATA_DIR: newDirectory(), ...environment }).outboundProxy

  test('is read in capitals or not, with NO_PROXY, and from a file', () => {
    expect(read({})).toBeNull()
    expect(read({ HTTP_PROXY: 'http://proxy:3128', NO_PROXY: 'x' })).toBeNull()
    expect(read({ HTTPS_PROXY: 'http://proxy:3128' })).toEqual({ url: 'http://proxy:3128/', except: '' })
    expect(read({ https_proxy: 'https://name:pass@proxy', no_proxy: 'a,.b' })).toEqual({
      url: 'https://name:pass@proxy/',
      except: 'a,.b',
    })
    const file = `${newDirectory()}-proxy`
    writeFileSync(file, 'http://name:pass@proxy:3128\n')
    expect(read({ HTTPS_PROXY_FILE: file })).toMatchObject({ url: 'http://name:pass@proxy:3128/' })
  })

  test.each(['proxy:3128', 'socks5://proxy', 'name:hidden@proxy:3128', 'http://name:hidden@proxy/path', '-'])(
    'is refused where it says %s, and its password is not repeated',
    (text) => {
      const problems = problemsOf({ HTTPS_PROXY: text })
      expect(problems).toEqual([
        'HTTPS_PROXY must be a URL such as http://proxy.example.com:3128, with http:// or https:// in front.',
      ])
    },
  )
})

describe('E-05 encryption keys', () => {
  test.each<[string, string]>([
    ['too short', `k1:${randomBytes(31).toString('base64')}`],
    ['too long', `k1:${randomBytes(33).toString('base64')}`],
    ['all zeros', `k1:${Buffer.alloc(32).toString('base64')}`],
    ['typed by hand', `k1:${Buffer.from('abababababababababababababababab').toString('base64')}`],
    ['without an id', randomBytes(32).toString('base64')],
    ['with an odd id', newKey('the first')],
    ['with an empty id', newKey('')],
    ['with an id that is too long', newKey('k'.repeat(33))],
    ['without a value', 'k1:'],
    ['with something behind it', `${newKey()}:more`],
    ['with characters that are not base64', `k1:!!${randomBytes(32).toString('base64')}`],
    ['twice the same id', `${newKey('k1')},${newKey('k1')}`],
    ['none', ' , '],
  ])('are refused when they are %s', (_, keys) => {
    const problems = problemsOf({ ENCRYPTION_KEYS: keys })
    expect(problems).not.toEqual([])
    for (const problem of problems) {
      expect(problem).toMatch(/^ENCRYPTION_KEYS\b/)
      for (const value of keys.split(/[:,]/).filter((part) => part.length > 33)) expect(problem).not.toContain(value)
    }
  })

  test('are kept in order: the first writes', () => {
    const keys = [newKey('k3'), newKey('k2'), newKey('k1')]
    const config = parseConfig({ DATA_DIR: newDirectory(), ENCRYPTION_KEYS: keys.join(',') })
    expect(config.encryptionKeys.map(({ id }) => id)).toEqual(['k3', 'k2', 'k1'])
    expect(config.encryptionKeysSource).toBe('ENCRYPTION_KEYS')
  })

  test('come from a file, which nobody else may read', () => {
    const file = `${newDirectory()}.keys`
    writeFileSync(file, `${newKey('k2')}\n${newKey('k1')}\n`, { mode: 0o600 })
    const environment = { DATA_DIR: newDirectory(), ENCRYPTION_KEYS_FILE: file }
    expect(parseConfig(environment).encryptionKeys.map(({ id }) => id)).toEqual(['k2', 'k1'])
    for (const mode of [0o644, 0o604, 0o606, 0o601]) {
      chmodSync(file, mode)
      expect(problemsOf(environment)).toEqual([expect.stringContaining('chmod 600')])
    }
    expect(problemsOf({ ENCRYPTION_KEYS_FILE: join(directory.path, 'nowhere') })).toEqual([
      expect.stringContaining('cannot be read'),
    ])
    expect(problemsOf({ ...environment, ENCRYPTION_KEYS: newKey('k3') })).toEqual([
      expect.stringMatching(/^ENCRYPTION_KEYS and ENCRYPTION_KEYS_FILE are both set/),
    ])
  })
})

test('E-09 a secret comes from a file too; both ways at once, or an unreadable file, are refused', () => {
  const file = `${newDirectory()}.secret`
  writeFileSync(file, `${SECRET}\n`)
  const environment = { ...production(), GITHUB_CLIENT_SECRET: '', GITHUB_CLIENT_SECRET_FILE: file }
  expect(parseConfig(environment).github.clientSecret).toBe(SECRET)
  expect(problemsOf({ ...environment, GITHUB_CLIENT_SECRET: 'other' })).toEqual([
    expect.stringMatching(/^GITHUB_CLIENT_SECRET and GITHUB_CLIENT_SECRET_FILE/),
  ])
  expect(problemsOf({ ...environment, GITHUB_CLIENT_SECRET_FILE: `${file}.not` }).join()).toContain('cannot be read')
  expect(readFileSync(file, 'utf8')).toBe(`${SECRET}\n`)
})

test('S-02 no public address without https is taken, at which cookies would go in the clear', () => {
  for (const production of [{ NODE_ENV: 'production' }, {}])
    expect(problemsOf({ ...production, PUBLIC_URL: 'http://gateway.example.com' })).toContainEqual(
      expect.stringMatching(/^PUBLIC_URL: .*https/),
    )
})

describe('T-07 addresses', () => {
  test.each([
    ['PUBLIC_URL', 'http://gateway.example.com'],
    ['PUBLIC_URL', 'https://gateway.example.com/path'],
    ['PUBLIC_URL', 'https://gateway.example.com?x=1'],
    ['PUBLIC_URL', `https://user:${SECRET}@gateway.example.com`],
    ['PUBLIC_URL', `https://:${SECRET}@gateway.example.com`],
    ['PUBLIC_URL', 'javascript:alert(1)'],
    ['PUBLIC_URL', 'https://'],
    ['ALLOWED_ORIGINS', 'http://app.example.com'],
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'null'],
    ['ALLOWED_ORIGINS', `https://user:${SECRET}@app.example.com`],
    ['X_API_URL', 'http://10.0.0.1/'],
    ['X_API_URL', 'http://127.0.0.1.example.com'],
    ['X_API_URL', 'http://localhost.example.com'],
    ['X_URL', `https://:${SECRET}@x.com`],
    ['X_URL', `https://user:${SECRET}@x.com`],
    ['GITHUB_API_URL', 'file:///etc/passwd'],
    ['GITHUB_URL', 'https://github.com/#fragment'],
  ])('that are neither https nor loopback, or no address, are refused: %s=%s', (name, url) => {
    expect(problemsOf({ ...production(), [name]: url })).toEqual([expect.stringMatching(new RegExp(`^${name}: `))])
  })

  test.each(['http://127.0.0.1:3000', 'http://localhost:3000', 'http://[::1]:3000', 'https://example.com'])(
    'that are https or loopback are taken: %s',
    (url) => {
      const config = parseConfig({
        ...production(),
        PUBLIC_URL: url,
        X_API_URL: `${url}/`,
        GITHUB_API_URL: `${url}/api/v3`,
      })
      expect([config.publicUrl, config.x.apiUrl, config.github.apiUrl]).toEqual([url, url, `${url}/api/v3`])
    },
  )
})

test('E-01 no value of a secret is ever in a message, however wrong everything is', () => {
  const secret = { ...production(), PORT: 'x', LOG_LEVEL: 'x', ENCRYPTION_KEYS: `k1:${SECRET},${SECRET}` }
  expect(problemsOf({ ...secret, DATABASE_URL: `mysql://u:${SECRET}@h/d` }).length).toBeGreaterThan(3)
  expect(problemsOf({ ENCRYPTION_KEYS: SECRET, GITHUB_CLIENT_SECRET: SECRET })).not.toEqual([])
})
