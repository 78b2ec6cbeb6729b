import { describe, expect, it, vi } from 'vitest'
import { connectSandboxControl } from '../../src/sandbox/control-client.ts'
import { call, link, openSandbox, post, refresh } from './client.ts'

describe('what was received', () => {
  it('is kept with method, path, query, headers, parsed body, status and time', async () => {
    const sandbox = await openSandbox()
    const { access } = await link(sandbox)
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

  it('counts token calls, and how many were in flight with one refresh token', async () => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    expect([sandbox.control.countTokenCalls('authorization_code'), sandbox.control.concurrentSends()]).toEqual([1, 0])
    sandbox.control.inject({ kind: 'hang', act: true, times: 3 })
    for (const _ of [1, 2, 3]) refresh(sandbox, tokens.refresh).catch(() => {})
    await vi.waitFor(() => expect(sandbox.control.concurrentSends()).toBe(3))
    await vi.waitFor(() => expect(sandbox.control.replays()).toBe(2))
    expect(sandbox.control.countTokenCalls('refresh_token')).toBe(3)
  })
})

describe('the control over HTTP', () => {
  it('is the same control, when opened', async () => {
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

  it('takes no form from a web page, and no method that is none', async () => {
    const sandbox = await openSandbox({ control: true })
    const url = `${sandbox.url}/_control`
    expect((await fetch(url, { method: 'POST', body: '{"method":"grants"}' })).status).toBe(415)
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(url, { method: 'POST', headers, body: '{"method":"constructor"}' })).status).toBe(400)
    expect((await fetch(url, { method: 'POST', headers, body: '[' })).status).toBe(400)
  })

  it('is closed otherwise', async () => {
    const sandbox = await openSandbox()
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"method":"grants"}' }
    expect((await fetch(`${sandbox.url}/_control`, init)).status).toBe(404)
  })
})
