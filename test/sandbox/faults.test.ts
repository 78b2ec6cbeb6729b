import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Fault } from '../../src/sandbox/control/faults.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'
import { at, call, connectAccount, openSandbox, post, refresh, tokensOf } from './client.ts'

/** Connects an account, injects one fault at posting, and posts. */
async function postThrough(fault: Fault) {
  const sandbox = await openSandbox()
  const { access } = await connectAccount(sandbox)
  sandbox.control.clearReceived()
  sandbox.control.inject(fault)
  return { sandbox, send: () => post(sandbox, access, 'hello'), sent: () => sandbox.control.tweets().length }
}

describe('faults', () => {
  it('delay before acting, and after it', async () => {
    // Lower bounds alone, for slow machines. A timer may fire a millisecond early by another clock.
    const before = await postThrough({ kind: 'delay', milliseconds: 100 })
    expect((await before.send()).status).toBe(201)
    const arrivedAt = before.sandbox.control.received()[0]?.at ?? Infinity
    expect((before.sandbox.control.tweets()[0]?.createdAt ?? 0) - arrivedAt).toBeGreaterThanOrEqual(99)

    const after = await postThrough({ kind: 'delayAfter', milliseconds: 100 })
    expect((await after.send()).status).toBe(201)
    const actedAt = after.sandbox.control.tweets()[0]?.createdAt ?? Infinity
    expect(after.sandbox.control.now() - actedAt).toBeGreaterThanOrEqual(99)
  })

  it('respond with another status, without acting or after it', async () => {
    for (const [kind, tweets] of [
      ['status', 0],
      ['statusAfter', 1],
    ] as const) {
      const { send, sent } = await postThrough({
        kind,
        status: 503,
        body: { title: 'x' },
        headers: { 'retry-after': '5' },
      })
      const { status, body, headers } = await send()
      expect([status, body, headers.get('retry-after')]).toEqual([503, { title: 'x' }, '5'])
      expect(sent()).toBe(tweets)
    }
  })

  it('respond with every problem by name', async () => {
    const sandbox = await openSandbox()
    const names = [
      ['credits-depleted', 402, /\/credits-depleted$/],
      ['credits-depleted-older', 402, /\/credits$/],
      ['usage-capped', 429, /\/usage-capped$/],
      ['client-not-enrolled', 403, /\/client-forbidden$/],
      ['too-many-requests', 429, /^about:blank$/],
      ['service-unavailable', 503, /^about:blank$/],
      ['suspended', 403, /^about:blank$/],
      ['locked', 403, /^about:blank$/],
    ] as const
    for (const [name, status, type] of names) {
      sandbox.control.inject({ kind: 'problem', name, match: { path: '/2/tweets' } })
      const response = await post(sandbox, 'any', 'hello')
      expect([response.status, response.body.type]).toEqual([status, expect.stringMatching(type)])
      expect(response.headers.has('x-rate-limit-reset')).toBe(name === 'too-many-requests')
    }
    sandbox.control.inject({ kind: 'problem', name: 'temporarily-unavailable', match: { path: '/2/oauth2/token' } })
    expect((await refresh(sandbox, 'any')).body.error).toBe('temporarily_unavailable')
    expect(() => sandbox.control.inject(JSON.parse('{"kind":"problem","name":"nothing"}'))).toThrow(
      'There is no problem',
    )
  })

  it('respond with a problem after acting: the post exists', async () => {
    const { send, sent } = await postThrough({ kind: 'problemAfter', name: 'bad-gateway' })
    expect([(await send()).status, sent()]).toEqual([502, 1])
  })

  it('close the connection before acting, after it, and in the middle of the response', async () => {
    for (const [kind, tweets] of [
      ['dropBefore', 0],
      ['dropAfter', 1],
      ['cutHalfway', 1],
    ] as const) {
      const { sandbox, send, sent } = await postThrough({ kind })
      await expect(send()).rejects.toThrow()
      expect(sent()).toBe(tweets)
      expect(sandbox.control.received()).toMatchObject([{ status: null, acted: tweets === 1 }])
    }
  })

  it('respond with a redirect', async () => {
    let reached = 0
    const elsewhere = createServer((_request, response) => {
      reached += 1
      response.end()
    })
    const location = `http://127.0.0.1:${await listenLocally(elsewhere)}/`
    onTestFinished(() => closeServer(elsewhere))
    const { sandbox, sent } = await postThrough({ kind: 'redirect', location, status: 307 })
    const init = { method: 'POST', redirect: 'manual', body: '{}' } as const
    const response = await fetch(`${sandbox.url}/2/tweets`, init)
    expect([response.status, response.headers.get('location')]).toEqual([307, location])
    expect([sent(), reached]).toEqual([0, 0])
  })

  it('respond with a huge body, plain or as a gzip bomb', async () => {
    for (const gzip of [false, true]) {
      const { sandbox } = await postThrough({ kind: 'oversized', bytes: 3_000_000, gzip })
      const response = await fetch(`${sandbox.url}/2/users/me`)
      expect(response.headers.get('content-encoding')).toBe(gzip ? 'gzip' : null)
      expect((await response.arrayBuffer()).byteLength).toBe(3_000_000)
    }
  })

  it('respond with a body or a content type that is not JSON', async () => {
    const cut = await postThrough({ kind: 'malformed', act: true })
    await expect(cut.send()).rejects.toThrow(SyntaxError)
    expect(cut.sent()).toBe(1)
    const page = await postThrough({ kind: 'malformed', body: '<html>', contentType: 'text/html' })
    expect(await page.send()).toMatchObject({ status: 200, text: '<html>' })
    expect(page.sent()).toBe(0)
  })

  it('never respond', async () => {
    const { sandbox, sent } = await postThrough({ kind: 'hang' })
    const signal = AbortSignal.timeout(100)
    await expect(fetch(`${sandbox.url}/2/tweets`, { method: 'POST', body: '{}', signal })).rejects.toThrow()
    expect(sent()).toBe(0)
  })

  it('send the real response byte by byte', async () => {
    const { send, sent } = await postThrough({ kind: 'drip', bytesPerSecond: 1000 })
    expect((await send()).status).toBe(201)
    const slow = await postThrough({ kind: 'drip' })
    const response = await fetch(`${slow.sandbox.url}/2/users/me`)
    expect(response.status).toBe(401)
    const reader = response.body?.getReader()
    expect((await reader?.read())?.value?.length).toBe(1)
    await reader?.cancel()
    expect(sent()).toBe(1)
  })

  it('change the real response', async () => {
    const { sandbox, send, sent } = await postThrough({ kind: 'response', body: { data: { id: '', text: '' } } })
    expect(await send()).toMatchObject({ status: 201, body: { data: { id: '' } } })
    expect(sent()).toBe(1)
    const { refresh: token } = await connectAccount(sandbox)
    const fields = { refresh_token: undefined, expires_in: '7200' }
    sandbox.control.inject({ kind: 'response', body: fields, omit: ['scope'], headers: { 'x-more': '1' } })
    const response = await refresh(sandbox, token)
    expect(Object.keys(response.body).sort()).toEqual(['access_token', 'expires_in', 'token_type'])
    expect([response.body.expires_in, response.headers.get('x-more')]).toEqual(['7200', '1'])
    expect(at(sandbox.control.grants('maraholt'), 1, 'rotations')).toBe(1)
  })

  it('match by method, path and parameters, skip and repeat as set, and count the matches', async () => {
    const sandbox = await openSandbox()
    const { access, refresh: token } = await connectAccount(sandbox)
    const everywhere = { kind: 'status', status: 500 } as const
    const onRefresh = { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } }
    sandbox.control.inject({ ...everywhere, match: onRefresh, after: 1, times: 2 })
    sandbox.control.inject({ ...everywhere, match: { method: 'DELETE', path: '/2/tweets/\\d+' }, times: null })
    const statuses: number[] = []
    let newest = token
    for (let round = 0; round < 4; round += 1) {
      const response = await refresh(sandbox, newest)
      statuses.push(response.status)
      if (response.status === 200) newest = tokensOf(response).refresh
    }
    expect(statuses).toEqual([200, 500, 500, 200])
    expect((await call(sandbox, access, 'GET', '/2/tweets/1')).status).toBe(200)
    for (let round = 0; round < 3; round += 1) {
      expect((await call(sandbox, access, 'DELETE', '/2/tweets/1')).status).toBe(500)
    }
    expect(sandbox.control.faults().map((fault) => fault.hits)).toEqual([2, 3])
    sandbox.control.inject({ ...everywhere, probability: 0 })
    expect((await call(sandbox, access, 'GET', '/2/users/me')).status).toBe(200)
    sandbox.control.clearFaults()
    expect((await call(sandbox, access, 'DELETE', '/2/tweets/1')).status).toBe(200)
  })

  it('apply delays together with another fault', async () => {
    const { sandbox, send } = await postThrough({ kind: 'delay', milliseconds: 50 })
    sandbox.control.inject({ kind: 'delayAfter', milliseconds: 50 })
    sandbox.control.inject({ kind: 'response', status: 200 })
    const started = performance.now()
    expect((await send()).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThan(95)
    expect(sandbox.control.faults().map((fault) => fault.hits)).toEqual([1, 1, 1])
  })
})
