import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { errorExtensions } from '../../src/http/error-response.ts'
import { openBrowser } from '../support/browser.ts'
import { findFreePort } from '../support/free-port.ts'
import { compileCache, nodeOptions } from '../support/node-start.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = path.join(import.meta.dirname, '../..')

test('G-11 G-15 with a frozen database requests fail in time, /readyz fails and /healthz succeeds, and everything works afterwards', async () => {
  await using server = await startPostgresServer()
  await using directory = await makeTemporaryDirectory('outage')
  const { url } = await server.createDatabase()
  const port = await findFreePort()
  const gateway = spawn(process.execPath, [...nodeOptions, 'src/main.ts'], {
    cwd: root,
    env: {
      DATABASE_URL: url,
      DATA_DIR: directory.path,
      PORT: String(port),
      SANDBOX_PORT: String(await findFreePort()),
      ...compileCache,
    },
    stdio: 'ignore',
  })
  const ended = once(gateway, 'exit')
  const person = openBrowser(`http://127.0.0.1:${port}`)
  const status = async (target: string) => (await person.request(target)).status
  try {
    await vi.waitFor(async () => expect(await status('/readyz')).toBe(200), { timeout: 60_000, interval: 200 })
    await person.signIn('mara-holt')
    await server.freeze()
    // A result is shared for a second.
    await vi.waitFor(
      async () => {
        const readiness = await person.request('/readyz')
        expect([readiness.status, await readiness.text()]).toEqual([503, '{"status":"not ready"}'])
      },
      { timeout: 60_000 },
    )
    expect(await status('/healthz')).toBe(200)
    // For the user the accounts cannot be read, or the session, which is kept for ten seconds; for an
    // anonymous caller the rate limit.
    for (const cookie of [person.cookies, new Map<string, string>()]) {
      const asked = await fetch(`http://127.0.0.1:${port}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'sec-fetch-site': 'same-origin',
          cookie: [...cookie].map(([name, value]) => `${name}=${value}`).join('; '),
        },
        body: JSON.stringify({ query: '{ viewer { login connectedAccounts { id } } }' }),
      })
      expect([asked.status, asked.headers.get('retry-after')]).toEqual([503, '5'])
      const response = await asked.text()
      expect(response).not.toMatch(/postgres|timeout|select|insert/i)
      expect(JSON.parse(response)).toEqual({
        errors: [
          {
            message: 'The database does not respond. Try again shortly.',
            extensions: errorExtensions('DATABASE_UNAVAILABLE', { requestId: asked.headers.get('x-request-id') }),
          },
        ],
      })
    }
    await server.thaw()
    await vi.waitFor(async () => expect(await status('/readyz')).toBe(200), { timeout: 60_000, interval: 200 })
    await vi.waitFor(async () => expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } }), {
      timeout: 60_000,
      interval: 200,
    })
  } finally {
    gateway.kill('SIGTERM')
    const [code] = await ended
    expect(code).toBe(0)
    await person.close()
  }
})
