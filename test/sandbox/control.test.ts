import { describe, expect, it, vi } from 'vitest'
import { connectSandboxControl } from '../../src/sandbox/control/client.ts'
import { basic, call, connectAccount, openSandbox, post, refresh } from './client.ts'

describe('the record of received requests', () => {
  it('has method, path, query, headers, parsed body, status and time', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.clearReceived()
    await post(sandbox, access, 'hello')
    await call(sandbox, access, 'GET', '/2/users/me?user.fields=verified')
    const [first, second] = sandbox.control.received()
    expect(first).toMatchObject({
      method: 'POST',
      path: '/2/tweets',
      body: { text: 'hello' },
      status: 201,
      acted: true,
    })
    expect(second).toMatchObject({ query: { 'user.fields': 'verified' }, body: null, status: 200 })
    expect(second?.headers.authorization).toBe(`Bearer ${access}`)
    expect(second?.at).toBeGreaterThanOrEqual(first?.at ?? Infinity)
    expect(sandbox.control.countReceived({ method: 'GET', path: '/2/users/.*' })).toBe(1)
  })

  it('counts token requests, and the concurrent ones with one refresh token', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    expect([sandbox.control.countTokenCalls('authorization_code'), sandbox.control.concurrentSends()]).toEqual([1, 0])
    sandbox.control.inject({ kind: 'hang', act: true, times: 3 })
    for (const _ of [1, 2, 3]) refresh(sandbox, tokens.refresh).catch(() => {})
    await vi.waitFor(() => expect(sandbox.control.concurrentSends()).toBe(3), { timeout: 30_000 })
    await vi.waitFor(() => expect(sandbox.control.replays()).toBe(2), { timeout: 30_000 })
    expect(sandbox.control.countTokenCalls('refresh_token')).toBe(3)
  })

  it('does not count a request as concurrent after its client has disconnected', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    sandbox.control.inject({ kind: 'delay', milliseconds: 100 })
    const impatient = AbortSignal.timeout(20)
    const fields = { grant_type: 'refresh_token', refresh_token: tokens.refresh }
    const init = { method: 'POST', headers: { authorization: basic() }, body: new URLSearchParams(fields) }
    await expect(fetch(`${sandbox.url}/2/oauth2/token`, { ...init, signal: impatient })).rejects.toThrow()
    await vi.waitFor(() => expect(sandbox.control.grants('maraholt')[0]?.rotations).toBe(1), { timeout: 30_000 })
    await refresh(sandbox, tokens.refresh)
    expect([sandbox.control.replays(), sandbox.control.concurrentSends()]).toEqual([1, 1])
  })
})

describe('the control over HTTP', () => {
  it('is available when it was requested', async () => {
    const sandbox = await openSandbox({ control: true })
    const remote = connectSandboxControl(sandbox.url)
    await remote.inject({ kind: 'status', status: 500, times: null })
    expect((await fetch(`${sandbox.url}/user`)).status).toBe(500)
    expect(await remote.faults()).toMatchObject([{ hits: 1, times: null }])
    await remote.clearFaults()
    const id = await remote.addAccount('remote_friend', 'Remote Friend')
    expect((await remote.accounts()).find((account) => account.id === id)?.name).toBe('Remote Friend')
    expect(await remote.received({ path: '/_control' })).toEqual([])
    await expect(remote.revokeGrant('nobody')).rejects.toThrow('no X account @nobody')
  })

  it('refuses forms of web pages, and unknown methods', async () => {
    const sandbox = await openSandbox({ control: true })
    const url = `${sandbox.url}/_control`
    expect((await fetch(url, { method: 'POST', body: '{"method":"grants"}' })).status).toBe(415)
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(url, { method: 'POST', headers, body: '{"method":"constructor"}' })).status).toBe(400)
    expect((await fetch(url, { method: 'POST', headers, body: '[' })).status).toBe(400)
  })

  it('is not available otherwise', async () => {
    const sandbox = await openSandbox()
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"method":"grants"}' }
    expect((await fetch(`${sandbox.url}/_control`, init)).status).toBe(404)
  })
})

describe('controls for tests under load', () => {
  it('set the lifetime of access tokens', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    sandbox.control.setAccessTokenSeconds(0.5)
    const { body } = await refresh(sandbox, tokens.refresh)
    expect(body.expires_in).toBe(0.5)
    expect((await post(sandbox, String(body.access_token), 'in time')).status).toBe(201)
    sandbox.control.advance(1)
    expect((await post(sandbox, String(body.access_token), 'too late')).status).toBe(401)
    expect((await post(sandbox, tokens.access, 'of the two hours')).status).toBe(201)
  })

  it('allow duplicates, so that a tweet that is sent twice is posted twice', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.setRefusesDuplicates(false)
    for (const _ of [1, 2]) expect((await post(sandbox, access, 'again')).status).toBe(201)
    expect(sandbox.control.tweets('maraholt')).toHaveLength(2)
  })

  it('set the number of posts in a day', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.setRateLimit('posts-per-day', 1)
    const first = await post(sandbox, access, 'one')
    expect([first.status, first.headers.get('x-app-limit-24hour-remaining')]).toEqual([201, '0'])
    expect((await post(sandbox, access, 'two')).status).toBe(429)
  })

  it('make faults with a probability repeatable', async () => {
    const chances = [0.1, 0.9, 0.4]
    const sandbox = await openSandbox({ random: () => chances.shift() ?? 1 })
    sandbox.control.inject({ kind: 'status', status: 500, times: null, probability: 0.5 })
    const statuses: number[] = []
    for (const _ of [1, 2, 3, 4]) statuses.push((await fetch(`${sandbox.url}/user`)).status)
    expect(statuses).toEqual([500, 401, 500, 401])
  })
})
