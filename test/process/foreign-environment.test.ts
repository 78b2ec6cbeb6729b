// The environment of an operator's machine: an unreadable .env file, and a HOST variable that
// another program has set.
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase('postgres')
})
afterAll(() => database.remove())

describe('.env', () => {
  async function startBeside(make: (file: string) => void, environment: Record<string, string> = {}) {
    const directory = await makeTemporaryDirectory('environment')
    onTestFinished(() => directory.remove())
    make(path.join(directory.path, '.env'))
    const given = { PORT: '0', SANDBOX_PORT: '0', ...environment }
    const programs = [
      startProgram('src/main.ts', given, [], { directory: directory.path }),
      startProgram('src/cli.ts', given, ['doctor'], { directory: directory.path }),
    ]
    for (const program of programs) onTestFinished(async () => void (await program.kill()))
    return programs
  }

  test.each<[string, (file: string) => void, RegExp]>([
    ['is a directory', (file) => mkdirSync(file), /cannot be read: it is a directory\./],
    // Unreadable for root as well, whom file modes do not stop.
    ['cannot be read', (file) => symlinkSync('/proc/self/mem', file), /cannot be read: EIO\./],
    [
      'is a link to nothing',
      (file) => symlinkSync('not-there', file),
      /cannot be read: it is a symbolic link to a missing file/,
    ],
    ['is UTF-16', (file) => writeFileSync(file, Buffer.from('\ufeffPORT=0\n', 'utf16le')), /is not UTF-8 text\./],
  ])('that %s ends the start of the gateway and of a command with one sentence', async (_, make, sentence) => {
    for (const program of await startBeside(make)) {
      expect(await program.ended).toBe(78)
      expect(program.output()).toMatch(sentence)
      expect(program.output()).toMatch(/^The file [^\n]*\/\.env [^\n]+\n$/)
    }
  })

  test('with a byte order mark or Windows line ends is read like any other', async () => {
    const [gateway, doctor] = await startBeside((file) => {
      writeFileSync(file, '\ufeffLOG_LEVEL=loud\r\nGRAPHIQL=perhaps\r\n')
      chmodSync(file, 0o600)
    })
    for (const program of [gateway, doctor]) {
      expect(await program?.ended).toBe(78)
      expect(program?.output()).toContain('LOG_LEVEL must be one of')
      expect(program?.output()).toContain('GRAPHIQL must be on or off.')
    }
  })
})

describe('HOST', () => {
  const start = (environment: Record<string, string>) => {
    const gateway = startGatewayProcess({ ...database.environment, PORT: '0', SANDBOX_PORT: '0', ...environment })
    onTestFinished(async () => void (await gateway.kill()))
    return gateway
  }

  // Conda's; an address that is documentation's; one of another family; what was meant for
  // PUBLIC_URL; a port behind it; a pattern.
  test.each([
    'x86_64-conda-linux-gnu',
    '192.0.2.1',
    '2001:db8::1',
    '[2001:db8::1]',
    'http://127.0.0.1',
    '127.0.0.1:3000',
    '*',
    '[localhost]',
  ])('%s ends the start with a sentence that names the variable', async (HOST) => {
    // On a slow machine the log also says what the start waits for, at level "info".
    const gateway = start({ HOST, LOG_LEVEL: 'warn' })
    expect(await gateway.ended).toBe(78)
    expect(gateway.output()).toContain(`HOST is "${HOST.replace(/^\[(2.*)\]$/, '$1')}", which is n`)
    expect(gateway.output()).not.toMatch(/"level"|^ +at /m)
  })

  test.each([
    ['::1', '[::1]'],
    ['[::1]', '[::1]'],
    ['localhost', 'localhost'],
    ['127.0.0.2', '127.0.0.2'],
  ])('listens at %s', async (HOST, authority) => {
    const port = await findFreePort()
    const gateway = start({ HOST, PORT: String(port) })
    await gateway.ready(`http://${authority}:${port}`)
    expect(await gateway.stop()).toBe(0)
  })
})
