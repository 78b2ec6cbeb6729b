import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startSandbox } from '../../src/sandbox/server.ts'
import {
  basic,
  call,
  callToken,
  connectAccount,
  consent,
  exchange,
  OPTIONS,
  openSandbox,
  post,
  refresh,
  tokensOf,
} from './client.ts'

async function temporaryFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sandbox-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  return join(directory, 'inside', 'sandbox.json')
}

describe('the sandbox as a process', () => {
  it('never starts in production', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(startSandbox(OPTIONS)).rejects.toThrow('NODE_ENV=production')
  })

  it('listens on loopback under the given host name', async () => {
    const sandbox = await openSandbox({ hostname: 'localhost' })
    expect(sandbox.url).toMatch(/^http:\/\/localhost:\d+$/)
    expect((await fetch(sandbox.url)).status).toBe(200)
  })

  it('keeps grants, tweets, new accounts, unused codes and its clock across a restart', async () => {
    const stateFile = await temporaryFile()
    const first = await startSandbox({ ...OPTIONS, stateFile })
    const spent = await connectAccount(first)
    const connected = tokensOf(await refresh(first, spent.refresh))
    await post(first, connected.access, 'before the restart')
    first.control.addAccount('newcomer')
    first.control.advance(3600)
    const { code, verifier } = await consent(first, 'newcomer')
    // Not closed: the state is stored before a response is sent, so a kill loses nothing.
    const second = await openSandbox({ stateFile })
    onTestFinished(() => first.close())
    expect(second.control.tweets('maraholt').map((tweet) => tweet.text)).toEqual(['before the restart'])
    expect((await call(second, connected.access, 'GET', '/2/users/me')).status).toBe(200)
    expect((await post(second, connected.access, 'before the restart')).status).toBe(403)
    expect((await refresh(second, connected.refresh)).status).toBe(200)
    expect((await refresh(second, connected.refresh)).status).toBe(400)
    expect((await refresh(second, spent.refresh)).status).toBe(400)
    expect(second.control.replays()).toBe(2)
    expect((await exchange(second, code, verifier)).status).toBe(200)
    expect(second.control.now() - Date.now()).toBeGreaterThan(3_599_000)
    expect(statSync(stateFile).mode & 0o777).toBe(0o600)
    expect(await readdir(join(stateFile, '..'))).toEqual(['sandbox.json'])
  })

  it('refuses the refresh tokens of one app to another, after a restart as that app', async () => {
    const stateFile = await temporaryFile()
    const first = await startSandbox({ ...OPTIONS, stateFile })
    const tokens = await connectAccount(first)
    await first.close()
    const second = await openSandbox({ stateFile, xClient: { ...OPTIONS.xClient, id: 'another', secret: null } })
    const fields = { grant_type: 'refresh_token', refresh_token: tokens.refresh, client_id: 'another' }
    expect((await callToken(second, fields, {})).body.error_description).toBe('Value passed for the token was invalid.')
    const revocation = new URLSearchParams({
      token: tokens.access,
      token_type_hint: 'access_token',
      client_id: 'another',
    })
    await fetch(`${second.url}/2/oauth2/revoke`, { method: 'POST', body: revocation })
    expect(second.control.grants()).toMatchObject([{ live: true, rotations: 0 }])
  })

  it('refuses to start with a state file that it cannot parse, and does not change the file', async () => {
    const stateFile = await temporaryFile()
    await (await startSandbox({ ...OPTIONS, stateFile })).close()
    writeFileSync(stateFile, '{"half":')
    await expect(startSandbox({ ...OPTIONS, stateFile })).rejects.toThrow('Delete the file')
    expect(readFileSync(stateFile, 'utf8')).toBe('{"half":')
  })

  it('writes nothing to the console for any request', async () => {
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) => vi.spyOn(console, name))
    const written = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
    onTestFinished(() => void vi.restoreAllMocks())
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    await post(sandbox, access, 'hello')
    await post(sandbox, 'garbage', 'hello')
    for (const spy of [...spies, ...written]) expect(spy).not.toHaveBeenCalled()
  })

  it('dates its responses by its own clock', async () => {
    const sandbox = await openSandbox()
    sandbox.control.advance(86_400)
    const { headers } = await fetch(sandbox.url)
    expect(Date.parse(headers.get('date') ?? '') - Date.now()).toBeGreaterThan(86_390_000)
  })
})

describe('an invalid request', () => {
  const paths = [
    '/2/oauth2/token',
    '/2/oauth2/revoke',
    '/2/tweets',
    '/2/tweets/1',
    '/2/users/me',
    '/2/users/1/tweets',
    '/user',
  ]
  const more = [
    '/i/oauth2/authorize',
    '/login/oauth/authorize',
    '/login/oauth/access_token',
    '/settings/connected_apps',
    '/a/b',
  ]
  const types = [
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'text/plain',
    '',
    'a;b=c;;',
  ]

  it('never gets a 5xx', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const request = fc.record({
      path: fc.constantFrom(...paths, ...more),
      query: fc.oneof(fc.string({ unit: 'binary' }), fc.webQueryParameters()),
      method: fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS'),
      type: fc.constantFrom(...types),
      body: fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.webQueryParameters()),
      authorization: fc.constantFrom(`Bearer ${access}`, basic(), 'Basic', 'Bearer', 'Basic =%', 'OAuth x'),
    })
    await fc.assert(
      fc.asyncProperty(request, async ({ path, query, method, type, body, authorization }) => {
        const headers = { authorization, 'content-type': type }
        const init =
          method === 'GET' || method === 'HEAD' ? { method, headers } : { method, headers, body: body.toWellFormed() }
        const url = `${sandbox.url}${path}?${query.toWellFormed().replaceAll('#', '')}`
        const response = await fetch(url, { ...init, redirect: 'manual' })
        await response.arrayBuffer()
        expect(response.status).toBeLessThan(500)
      }),
      { numRuns: 400, seed: 20_261_123 },
    )
  })

  it.each([
    ['a path of slashes alone', 'GET //// HTTP/1.1'],
    ['another origin as target', 'GET http://evil.example/2/users/me HTTP/1.1'],
    ['broken percent signs', 'GET /%E0%A4%A/status/%zz HTTP/1.1'],
    ['a star', 'OPTIONS * HTTP/1.1'],
    ['TRACE', 'TRACE / HTTP/1.1'],
    ['an unknown method', 'BREW / HTTP/1.1'],
  ])('in raw bytes is refused: %s', async (_title, line) => {
    const sandbox = await openSandbox()
    const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1')
    socket.end(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`)
    let reply = ''
    for await (const chunk of socket) reply += chunk
    expect(reply).toMatch(/^HTTP\/1\.1 4\d\d /)
  })

  it('that is too large gets a 413', async () => {
    const sandbox = await openSandbox()
    const response = await fetch(`${sandbox.url}/2/tweets`, { method: 'POST', body: 'a'.repeat(7_000_000) })
    expect(response.status).toBe(413)
  })
})
