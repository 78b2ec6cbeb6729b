// The output of a gateway that starts, and of one that cannot.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { production } from '../support/config-environment.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

test.each(['PORT', 'SANDBOX_PORT'])('names the variable when another program uses the %s', async (variable) => {
  await using database = await createTestDatabase('postgres')
  const port = await findFreePort()
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  try {
    const ports = { PORT: '0', SANDBOX_PORT: '0', [variable]: String(port) }
    const gateway = startGatewayProcess({ ...database.environment, ...ports })
    expect(await gateway.ended).toBe(1)
    expect(gateway.output()).toContain(`Port ${port} is in use by another program. Set ${variable} to a free one.\n`)
    expect(gateway.output()).not.toContain('EADDRINUSE')
  } finally {
    other.close()
  }
})

test('says to set PORT if the next port, the one for the sandbox, is in use', async () => {
  await using database = await createTestDatabase('postgres')
  const port = await findFreePort()
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  try {
    const gateway = startGatewayProcess({ ...database.environment, PORT: String(port - 1) })
    expect(await gateway.ended).toBe(1)
    expect(gateway.output()).toContain(
      `Port ${port} is in use by another program. Set PORT, which moves both: the gateway takes that port, the sandbox the next.\n`,
    )
  } finally {
    other.close()
  }
})

const ENCRYPTION_KEYS = `k1:${randomBytes(32).toString('base64')}`

test.each([
  ['with a key to be made', {}],
  ['with a key that is given', { ENCRYPTION_KEYS }],
  ['with the sandbox on PostgreSQL', { ENCRYPTION_KEYS, DATABASE_URL: 'postgres://127.0.0.1:1/x' }],
])('says in one sentence that DATA_DIR cannot be used, %s', async (_, keys) => {
  await using directory = await makeTemporaryDirectory('start')
  const file = path.join(directory.path, 'a-file')
  writeFileSync(file, '')
  // Nothing can be created in /proc: Linux returns an error that Node takes for a missing parent
  // directory.
  for (const dataDir of [file, path.join(file, 'inside'), '/proc/xconnect']) {
    const gateway = startGatewayProcess({ ...keys, PORT: '0', SANDBOX_PORT: '0', DATA_DIR: dataDir })
    onTestFinished(async () => void (await gateway.kill()))
    expect(await gateway.ended).toBe(78)
    expect(gateway.output()).toContain(`DATA_DIR: the directory ${dataDir} cannot be used`)
    expect(gateway.output()).not.toContain('"level"')
  }
})

test('E-09 in production prints one JSON object per line, and warns of options that expose its memory', async () => {
  await using database = await createTestDatabase('postgres')
  const port = await findFreePort()
  const gateway = startGatewayProcess({
    ...production(),
    ...database.environment,
    HOST: '127.0.0.1',
    PORT: String(port),
    NODE_OPTIONS: '--report-on-signal',
  })
  await gateway.ready(`http://127.0.0.1:${port}`)
  expect(await gateway.stop()).toBe(0)
  const lines = gateway
    .output()
    .trim()
    .split('\n')
    .filter((line) => !line.includes('ExperimentalWarning') && !line.includes('--trace-warnings'))
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(expect.arrayContaining(['Ready', 'Stopped']))
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({ msg: 'Ready', version: packageJson.version }),
  )
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({ level: 'warn', options: ['--report-on-signal'] }),
  )
})
