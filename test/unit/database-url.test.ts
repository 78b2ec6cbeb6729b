// The address of a PostgreSQL server has libpq's meaning, and no message contains its password.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseConfig } from '../../src/config/database-config.ts'
import { parsePostgresUrl } from '../../src/config/database-url.ts'
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'

let directory: TemporaryDirectory
beforeAll(async () => {
  directory = await makeTemporaryDirectory('url')
})
afterAll(() => directory.remove())

const parse = (url: string) => parsePostgresUrl(url, 'DATABASE_URL')
/** Returns the parsed address; fails if there is a problem. */
function addressOf(url: string) {
  const { address, problems } = parse(url)
  expect(problems).toEqual([])
  return address
}

describe('the hosts', () => {
  test.each<[string, [host: string, port: number][]]>([
    ['postgres://db.example.com/x', [['db.example.com', 5432]]],
    ['postgresql://db.example.com:6543/x', [['db.example.com', 6543]]],
    ['postgres://u:p@[::1]:5433/x', [['::1', 5433]]],
    ['postgres://u:p@[2001:db8::7]/x', [['2001:db8::7', 5432]]],
    ['postgres:///x', [['localhost', 5432]]],
    ['postgres://u@/x?host=/var/run/postgresql', [['/var/run/postgresql', 5432]]],
    ['postgres:///x?host=/tmp&port=5499', [['/tmp', 5499]]],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/x', [['/var/run/postgresql', 5432]]],
    ['postgres://u:p@%2Ftmp:5499/x', [['/tmp', 5499]]],
    [
      'postgres://u:p@a.example.com:1111,b.example.com,[::1]:3333/x',
      [
        ['a.example.com', 1111],
        ['b.example.com', 5432],
        ['::1', 3333],
      ],
    ],
    [
      'postgres:///x?host=a,b&port=1,2',
      [
        ['a', 1],
        ['b', 2],
      ],
    ],
    [
      'postgres:///x?host=a,b&port=7',
      [
        ['a', 7],
        ['b', 7],
      ],
    ],
  ])('%s', (url, hosts) => {
    expect(addressOf(url).hosts.map(({ host, port }) => [host, port])).toEqual(hosts)
  })

  test('hostaddr is the address of the connection, and host the name in the certificate', () => {
    expect(addressOf('postgres://db.example.com/x?hostaddr=10.0.0.7').hosts).toEqual([
      { host: 'db.example.com', address: '10.0.0.7', port: 5432 },
    ])
  })
})

describe('the user and password', () => {
  test.each([
    ['postgres://u:p%40ss%2Fw%3Ford%23%25@h/x', 'u', 'p@ss/w?ord#%'],
    ['postgres://u:p:w@h/x', 'u', 'p:w'],
    // As other libraries accept them.
    ['postgres://u:p@ss@h/x', 'u', 'p@ss'],
    ['postgres://us%3Aer@h/x', 'us:er', null],
    ['postgres://h/x?user=u&password=p%26w', 'u', 'p&w'],
    ['postgres://h/x', null, null],
  ])('%s', (url, user, password) => {
    expect(addressOf(url)).toMatchObject({ user, password, database: 'x' })
  })

  test('the database name is percent-decoded and optional', () => {
    expect(addressOf('postgres://h/my%20data').database).toBe('my data')
    expect(addressOf('postgres://h').database).toBeNull()
    expect(addressOf('postgres://h/?dbname=y').database).toBe('y')
  })
})

const SECRET_PIECES = ['sEcrEt', 'tErcEs']

describe('an address that cannot be parsed: the message says what to percent-encode, and quotes nothing', () => {
  test.each(
    ['/', '?', '#', '%', '%zz', '[', '/:', '@/', '?x=', '&'].flatMap((between) => [
      `postgres://user:sEcrEt${between}tErcEs@db.example.com:5432/x`,
      `postgres://user:sEcrEt${between}tErcEs@db.example.com/x?sslmode=require`,
    ]),
  )('%s', (url) => {
    const { problems, warnings, address } = parse(url)
    for (const sentence of [...problems, ...warnings])
      for (const piece of SECRET_PIECES) expect(sentence).not.toContain(piece)
    // Either the whole password is parsed, or the address is refused.
    if (problems.length === 0) expect(address.password).toMatch(/^sEcrEt.+tErcEs$/)
    else expect(problems.join()).toMatch(/percent-enc|%25/)
  })

  test.each([
    'postgres://sEcrEt:tErcEs',
    'postgres://u@h:sEcrEt/x',
    'postgres://u:sEcrEt@h:99999/x',
    'postgres://u:sEcrEt@h:0/x',
    'postgres://u:sEcrEt@[::1/x',
    'postgres://u:sEcrEt%00@h/x',
    'mysql://u:sEcrEt@h/x',
    'sEcrEt',
    'postgres://u:sEcrEt@h/x?sslmode=tErcEs',
    'postgres://u:sEcrEt@h/x?channel_binding=tErcEs',
    'postgres://u:sEcrEt@h/x?target_session_attrs=standby',
    'postgres://u:sEcrEt@h/x?connect_timeout=tErcEs',
    'postgres://u:sEcrEt@h/x?sslmode=verify-ca',
    'postgres://u:sEcrEt@h/x?channel_binding=require',
    'postgres://u:sEcrEt@h/x?sslrootcert=system&sslmode=require',
    'postgres://u:sEcrEt@h/x?sslnegotiation=direct&sslmode=prefer',
    'postgres://u:sEcrEt@h/x?sslrootcert=/nowhere/root.crt&sslmode=verify-full',
  ])('%s is refused', (url) => {
    const { problems } = parse(url)
    expect(problems).not.toEqual([])
    for (const sentence of problems) {
      expect(sentence).toMatch(/^DATABASE_URL\b.*\.$/)
      for (const piece of SECRET_PIECES) expect(sentence).not.toContain(piece)
    }
  })
})

describe('sslmode', () => {
  const modeOf = (query: string) => addressOf(`postgres://h/x${query}`).tls.mode
  test.each([
    ['', 'prefer'],
    ['?sslmode=disable', 'disable'],
    ['?sslmode=allow', 'allow'],
    ['?sslmode=prefer', 'prefer'],
    ['?sslmode=require', 'require'],
    ['?sslmode=verify-full', 'verify-full'],
    ['?ssl=true', 'require'],
    ['?sslrootcert=system', 'verify-full'],
  ])('of "%s" is %s', (query, mode) => {
    expect(modeOf(query)).toBe(mode)
  })

  test('require with a root certificate verifies the chain, as libpq does', () => {
    const file = join(directory.path, 'root.crt')
    const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    writeFileSync(file, pem)
    expect(modeOf(`?sslmode=require&sslrootcert=${file}`)).toBe('verify-ca')
    expect(addressOf(`postgres://h/x?sslmode=verify-full&sslrootcert=${file}`).tls.roots).toBe(pem)
    writeFileSync(file, 'no certificate')
    expect(parse(`postgres://h/x?sslmode=verify-full&sslrootcert=${file}`).problems).toEqual([
      expect.stringContaining('is not PEM'),
    ])
  })
})

describe('unknown parameters', () => {
  test('are ignored with a warning that names them, and the setting to use instead if there is one', () => {
    expect(
      parse('postgres://u:p@h/x?pgbouncer=true&connection_limit=1&schema=app&keepalives=1&sslmode=require'),
    ).toMatchObject({
      problems: [],
      warnings: [
        'DATABASE_URL: its parameter pgbouncer is ignored; set DATABASE_POOLER=transaction if this is the address of a pooler in transaction mode.',
        'DATABASE_URL: its parameter connection_limit is ignored.',
        'DATABASE_URL: its parameter schema is ignored; the gateway uses the schema public.',
      ],
    })
  })

  test('are counted but not named when one may be a piece of a password', () => {
    const { warnings } = parse('postgres://h/x?user=u&password=sEcrEt&tErcEs')
    expect(warnings).toEqual([expect.stringMatching(/^DATABASE_URL: 1 of its parameters are unknown.*& is %26\.$/)])
    expect(parse('postgres://h/x?tErcEs%20!=1').warnings.join()).not.toContain('tErcEs')
  })
})

test('connect_timeout is at least two seconds, and never infinite', () => {
  const secondsOf = (query: string) => addressOf(`postgres://h/x${query}`).connectTimeoutSeconds
  expect(['', '?connect_timeout=0', '?connect_timeout=1', '?connect_timeout=20'].map(secondsOf)).toEqual([5, 5, 2, 20])
})

describe('a connection that can be plain text', () => {
  const warningsOf = (url: string) => {
    const warnings: string[] = []
    const get = (name: string) => (name === 'DATABASE_URL' ? url : null)
    parseDatabaseConfig(get, { production: false, dataDir: '.data' }, { problems: [], warnings })
    return warnings
  }

  test.each(['', '?sslmode=disable', '?sslmode=allow', '?sslmode=prefer'])(
    'is warned of where the server is not on this machine: %j',
    (query) => {
      for (const host of ['db.internal', '10.0.0.7', '[fd00::7]', 'localhost,db.internal', 'localhost.example'])
        expect(warningsOf(`postgres://u:sEcrEt@${host}/x${query}`)).toEqual([
          expect.stringMatching(/^DATABASE_URL: the connection to [^,]+ can be plain text .*sslmode=verify-full/),
        ])
      expect(warningsOf(`postgres://u@localhost/x?hostaddr=10.0.0.7${query.replace('?', '&')}`)).toHaveLength(1)
      expect(warningsOf(`postgres://u:sEcrEt@db.internal/x${query}`).join()).not.toContain('sEcrEt')
    },
  )

  test.each([
    'postgres://u@db.internal/x?sslmode=require',
    'postgres://u@localhost/x',
    'postgres://u@127.0.0.1:5433/x?sslmode=disable',
    'postgres://u@[::1]/x',
    'postgres:///x',
    'postgres:///x?host=/var/run/postgresql',
  ])('is not warned of elsewhere, nor with TLS: %s', (url) => {
    expect(warningsOf(url)).toEqual([])
  })
})
