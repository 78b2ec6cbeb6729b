// Provider URLs that change while the provider stays the same, and those of another provider.
import { randomBytes } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createTestDatabase, type DatabaseKind } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startProgram } from '../support/program.ts'

const OLD = { GITHUB_URL: 'https://github.example.com', GITHUB_API_URL: 'https://github.example.com/api/v3' }
const NEW = { GITHUB_URL: 'https://code.example.com', GITHUB_API_URL: 'https://code.example.com/api/v3' }

/** Creates a database on which a gateway with these URLs has run. */
async function openDeployment(kind: DatabaseKind, first: Record<string, string>) {
  const database = await createTestDatabase(kind)
  onTestFinished(() => database.remove())
  const ENCRYPTION_KEYS = `k1:${randomBytes(32).toString('base64')}`
  const credentials = { GITHUB_CLIENT_ID: 'id', GITHUB_CLIENT_SECRET: 'secret', X_CLIENT_ID: 'id' }
  // A slow start also logs what it waits for, which this story ignores.
  const environment = { ...database.environment, ENCRYPTION_KEYS, SANDBOX_PORT: '0', LOG_LEVEL: 'warn' }
  /** Starts a gateway and ends it. @returns null, or its message if it did not start. */
  const start = async (addresses: Record<string, string>, sandbox = false): Promise<string | null> => {
    const port = await findFreePort()
    const given = { ...environment, ...(!sandbox && credentials), ...addresses, PORT: String(port) }
    const gateway = startGatewayProcess(given)
    onTestFinished(async () => void (await gateway.kill()))
    const isReady = await gateway.ready(`http://127.0.0.1:${port}`).then(
      () => true,
      () => false,
    )
    if (!isReady) return `${await gateway.ended} ${gateway.output()}`
    expect(await gateway.stop()).toBe(0)
    return null
  }
  const run = async (addresses: Record<string, string>, words: string[]) => {
    const command = startProgram('src/cli.ts', { ...environment, ...credentials, ...addresses }, words)
    return { code: await command.ended, output: command.output() }
  }
  expect(await start(first)).toBeNull()
  return { start, run }
}

describe.each<DatabaseKind>(['pglite', 'postgres'])('on %s', (kind) => {
  test('the command in the refusal accepts a GitHub Enterprise Server at another URL', async () => {
    const { start, run } = await openDeployment(kind, OLD)
    const refusal = await start(NEW)
    expect(refusal).toMatch(/^78 The database holds people and accounts of https:\/\/github\.example\.com and /)
    const command = /run: xconnect (\S+ \S+ \S+ \S+)\. /.exec(refusal ?? '')?.[1]?.split(' ') ?? []
    expect(command).toEqual(['providers', 'rename', OLD.GITHUB_URL, NEW.GITHUB_URL])
    expect(await run(NEW, command)).toMatchObject({ code: 0 })
    expect(await start(NEW)).toBeNull()
  })
})

test('the command requires both URLs as the database and the configuration have them', async () => {
  const { start, run } = await openDeployment('postgres', OLD)
  const command = ['providers', 'rename', OLD.GITHUB_URL, NEW.GITHUB_URL]
  const mistakes: [Record<string, string>, string[]][] = [
    [OLD, command],
    [NEW, ['providers', 'rename', NEW.GITHUB_URL, OLD.GITHUB_URL]],
    [{ ...NEW, X_URL: 'https://another.example.com' }, command],
  ]
  for (const [addresses, words] of mistakes)
    expect(await run(addresses, words)).toEqual({
      code: 1,
      output: expect.stringMatching(/^The database holds .* Nothing was changed\.\n$/),
    })
  expect(await start(OLD)).toBeNull()
})

test('every spelling of a URL is the same provider, and twitter.com is x.com', async () => {
  const { start } = await openDeployment('postgres', { ...OLD, X_URL: 'https://twitter.com' })
  const spellings = [
    { ...OLD, GITHUB_URL: 'HTTPS://GitHub.Example.COM:443/', X_URL: 'https://x.com' },
    { ...OLD, X_URL: 'https://WWW.twitter.com/' },
  ]
  for (const spelling of spellings) expect(await start(spelling)).toBeNull()
  expect(await start({ ...OLD, GITHUB_URL: 'https://github.example.com:8443' })).toMatch(/^78 /)
})

test('github.com and the sandbox cannot have been renamed', async () => {
  const { start, run } = await openDeployment('postgres', {})
  const refusal = await start(NEW)
  expect(refusal).toMatch(/^78 .*They are not the same people: start with an empty database/)
  expect(refusal).not.toContain('providers rename')
  expect(await run(NEW, ['providers', 'rename', 'https://github.com', NEW.GITHUB_URL])).toMatchObject({ code: 1 })
  expect(await start({ SANDBOX: 'on' }, true)).toMatch(/^78 .*They are not the same people/)
  expect(await start({})).toBeNull()
})

test('another X app is refused until a command accepts it', async () => {
  const { start, run } = await openDeployment('postgres', OLD)
  const other = { ...OLD, X_CLIENT_ID: 'another' }
  const refusal = await start(other)
  expect(refusal).toMatch(
    /^78 The database holds tokens that X issued to the app with the client id "id", and X_CLIENT_ID is "another"/,
  )
  const command = /run: xconnect (\S+ \S+ \S+ \S+)\. /.exec(refusal ?? '')?.[1]?.split(' ') ?? []
  expect(command).toEqual(['providers', 'change-x-app', 'id', 'another'])
  // The variables say otherwise.
  expect(await run(OLD, command)).toMatchObject({ code: 1, output: expect.stringContaining('Nothing was changed.') })
  expect(await start(OLD)).toBeNull()
  expect(await run(other, command)).toMatchObject({ code: 0 })
  expect(await start(other)).toBeNull()
  expect(await start(OLD)).toMatch(/^78 /)
})
