// Every form of DATABASE_URL, and the connections that the gateway makes with it, as `doctor`
// checks them.
import { execFile } from 'node:child_process'
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { connectPostgres } from '../../src/db/connection.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { type PostgresServer, startPostgresServer } from '../support/postgres.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'

const run = promisify(execFile)

let files: TemporaryDirectory
let sockets: string
let server: PostgresServer
let plain: PostgresServer
beforeAll(async () => {
  files = await makeTemporaryDirectory('certificates')
  await makeCertificates(files.path)
  // The path of a Unix socket is limited to about a hundred characters.
  sockets = await mkdtemp(join(tmpdir(), 'xc-'))
  await chmod(sockets, 0o777)
  plain = await startPostgresServer()
  const { uid, gid } = await stat(join(plain.directory, 'data'))
  for (const name of ['server.crt', 'server.key']) await chown(join(files.path, name), uid, gid)
  await chmod(files.path, 0o755)
  server = await startPostgresServer({
    settings: {
      ssl: 'on',
      ssl_cert_file: join(files.path, 'server.crt'),
      ssl_key_file: join(files.path, 'server.key'),
      unix_socket_directories: sockets,
    },
  })
})
afterAll(async () => {
  await server?.remove()
  await plain?.remove()
  await files?.remove()
  await rm(sockets, { recursive: true, force: true })
})

/**
 * A certificate authority, its certificate for "localhost", and an unrelated authority.
 */
async function makeCertificates(directory: string): Promise<void> {
  const openssl = (...words: string[]) => run('openssl', words, { cwd: directory })
  const authority = async (name: string) =>
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
    ) // prettier-ignore
  await authority('root')
  await authority('stranger')
  await openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
  ) // prettier-ignore
  await writeFile(join(directory, 'names'), 'subjectAltName=DNS:localhost\n')
  // With SHA-384, channel binding uses the hash of the certificate itself.
  await openssl(
    'x509',
    '-req',
    '-sha384',
    '-in',
    'server.csr',
    '-CA',
    'root.crt',
    '-CAkey',
    'root.key',
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    'names',
    '-out',
    'server.crt',
  ) // prettier-ignore
  await chmod(join(directory, 'server.key'), 0o600)
}

/** Returns the server's URL with another host and these parameters. */
function at(of: PostgresServer, host: string, query: string): string {
  const { password, port } = new URL(of.adminUrl)
  return `postgres://postgres:${password}@${host.replace('PORT', port)}/postgres${query}`
}

type Encryption = { isEncrypted: boolean; version: string | null }

/** Returns how the server sees a connection to that URL. @throws the driver's error */
async function connectTo(url: string): Promise<Encryption> {
  const client = connectPostgres(postgresAt(url), { applicationName: 'test', route: 'pooled', max: 1 })
  try {
    const [row] = await client`select ssl as "isEncrypted", version from pg_stat_ssl where pid = pg_backend_pid()`
    return row as Encryption
  } finally {
    await client.end({ timeout: 1 })
  }
}

const root = () => join(files.path, 'root.crt')
const stranger = () => join(files.path, 'stranger.crt')
const encrypted = { isEncrypted: true, version: 'TLSv1.3' }
const open = { isEncrypted: false, version: null }

test.each<[string, string, Encryption | RegExp]>([
  ['localhost:PORT', '', encrypted],
  ['localhost:PORT', '?sslmode=disable', open],
  ['localhost:PORT', '?sslmode=prefer', encrypted],
  ['127.0.0.1:PORT', '?sslmode=require', encrypted],
  ['127.0.0.1:PORT', '?ssl=true', encrypted],
  ['localhost:PORT', '?sslmode=verify-full&sslrootcert=ROOT', encrypted],
  ['127.0.0.1:PORT', '?sslmode=verify-full&sslrootcert=ROOT', /for another name than 127\.0\.0\.1/],
  ['127.0.0.1:PORT', '?sslmode=verify-ca&sslrootcert=ROOT', encrypted],
  ['127.0.0.1:PORT', '?sslmode=require&sslrootcert=ROOT', encrypted],
  ['localhost:PORT', '?sslmode=require&sslrootcert=STRANGER', /not signed by an authority that is trusted here/],
  ['localhost:PORT', '?sslmode=verify-full&sslrootcert=STRANGER', /not signed by an authority/],
  ['localhost:PORT', '?sslmode=verify-full&sslrootcert=system', /not signed by an authority/],
  ['localhost:PORT', '?sslmode=require&channel_binding=require', encrypted],
  ['localhost:PORT', '?sslmode=require&channel_binding=disable', encrypted],
  ['localhost:PORT', '?sslmode=require&sslnegotiation=direct', encrypted],
])('%s%s of a server that encrypts', async (host, query, outcome) => {
  const url = at(server, host, query.replace('ROOT', root()).replace('STRANGER', stranger()))
  if (outcome instanceof RegExp) await expect(connectTo(url)).rejects.toThrow(outcome)
  else expect(await connectTo(url)).toEqual(outcome)
})

test.each<[string, Encryption | RegExp]>([
  ['', open],
  ['?sslmode=prefer', open],
  ['?sslmode=disable', open],
  ['?sslmode=require', /offers no encryption, which sslmode=require asks for/],
  ['?sslmode=require&channel_binding=require', /offers no encryption/],
])('"%s" of a server that does not encrypt', async (query, outcome) => {
  const url = at(plain, 'localhost:PORT', query)
  if (outcome instanceof RegExp) await expect(connectTo(url)).rejects.toThrow(outcome)
  else expect(await connectTo(url)).toEqual(outcome)
})

test('refuses a server without channel binding where it is required', async () => {
  const admin = connectPostgres(postgresAt(server.adminUrl), { applicationName: 'test', route: 'direct', max: 1 })
  try {
    await admin`set password_encryption = 'md5'`
    await admin`create role with_md5 login password 'md5 has no channel'`
  } finally {
    await admin.end({ timeout: 1 })
  }
  const { port } = new URL(server.adminUrl)
  const url = `postgres://with_md5:md5%20has%20no%20channel@localhost:${port}/postgres?sslmode=require`
  await expect(connectTo(`${url}&channel_binding=require`)).rejects.toThrow(/channel|password authentication failed/)
})

test.each(['/postgres?host=SOCKETS&port=PORT', 'ENCODED:PORT/postgres'])(
  'connects to a Unix socket: %s',
  async (address) => {
    const { password, port } = new URL(server.adminUrl)
    const place = address
      .replace('SOCKETS', sockets)
      .replace('ENCODED', encodeURIComponent(sockets))
      .replace('PORT', port)
    expect(await connectTo(`postgres://postgres:${password}@${place}`)).toEqual(open)
  },
)

test('connects to the first of several hosts that responds and accepts writes', async () => {
  const { password, port } = new URL(server.adminUrl)
  const nobody = await findFreePort()
  const url = (query: string) =>
    `postgres://postgres:${password}@127.0.0.1:${nobody},localhost:${port}/postgres${query}`
  expect(await connectTo(url(''))).toEqual(encrypted)
  expect(await connectTo(url('?target_session_attrs=any&sslmode=disable'))).toEqual(open)
  await expect(connectTo(`postgres://u:p@127.0.0.1:${nobody},localhost:${nobody}/postgres`)).rejects.toThrow(
    /None of the hosts can be used: .*ECONNREFUSED.*ECONNREFUSED/,
  )
})

test('starts with the longest form of the URL, and doctor finds every connection in order', async () => {
  const { url } = await server.createDatabase()
  const { pathname, password, port } = new URL(url)
  const nobody = await findFreePort()
  const environment = {
    DATA_DIR: join(files.path, 'data'),
    DATABASE_URL: `postgres://postgres:${password}@127.0.0.1:${nobody},localhost:${port}${pathname}?sslmode=verify-full&sslrootcert=${root()}&channel_binding=require&connect_timeout=20&connection_limit=3`,
  }
  const gatewayPort = await findFreePort()
  const gateway = startGatewayProcess({ ...environment, PORT: String(gatewayPort), SANDBOX_PORT: '0' })
  try {
    await gateway.ready(`http://127.0.0.1:${gatewayPort}`)
    expect(gateway.output()).toContain('DATABASE_URL: its parameter connection_limit is ignored.')
    const doctor = startProgram('src/cli.ts', environment, ['doctor'])
    expect(await doctor.ended).toBe(0)
    expect(doctor.output()).not.toContain(password)
    for (const what of [
      'Database: PostgreSQL',
      'Connection for migrations:',
      'Connection for LISTEN:',
      'Connection for jobs:',
    ])
      expect(doctor.output()).toMatch(new RegExp(`^ok +${what}`, 'm'))
  } finally {
    await gateway.stop()
  }
  expect(gateway.output()).not.toContain(password)
})

test('a malformed URL ends the start with 78, and the message says what to encode', async () => {
  const gateway = startGatewayProcess({ DATA_DIR: join(files.path, 'data'), DATABASE_URL: 'postgres://u:sEc/rEt@h/x' })
  expect(await gateway.ended).toBe(78)
  expect(gateway.output()).toMatch(/- DATABASE_URL: it cannot be parsed\. .*percent-encode it/)
  expect(gateway.output()).not.toMatch(/sEc|rEt/)
})

test('the certificates of this test are what they claim to be', async () => {
  const { stdout } = await run('openssl', ['x509', '-in', join(files.path, 'server.crt'), '-noout', '-text'])
  expect(stdout).toContain('ecdsa-with-SHA384')
  expect(await readFile(root(), 'utf8')).toContain('BEGIN CERTIFICATE')
})
