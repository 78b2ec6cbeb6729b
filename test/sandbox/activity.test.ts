import { describe, expect, it, onTestFinished } from 'vitest'
import type { Sandbox } from '../../src/sandbox/server.ts'
import { at, callToken, connectAccount, openSandbox, read } from './client.ts'

const EVENT = { event_type: 'oauth.revoke', filter: {} }

async function appToken(sandbox: Sandbox, secret = 'sandbox-api-secret') {
  const authorization = `Basic ${Buffer.from(`sandbox-api-key:${secret}`).toString('base64')}`
  const body = new URLSearchParams({ grant_type: 'client_credentials' })
  return read(await fetch(`${sandbox.url}/oauth2/token`, { method: 'POST', headers: { authorization }, body }))
}

const bearerOf = async (sandbox: Sandbox) => String((await appToken(sandbox)).body.access_token)

async function subscribe(sandbox: Sandbox, token: string, body: unknown = EVENT) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify(body) }
  return read(await fetch(`${sandbox.url}/2/activity/subscriptions`, init))
}

async function openStream(sandbox: Sandbox, token: string) {
  const cancel = new AbortController()
  onTestFinished(() => cancel.abort())
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${sandbox.url}/2/activity/stream`, { headers, signal: cancel.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const nextLine = async () => (await reader?.read())?.value
  return { status: response.status, nextLine, cancel: () => cancel.abort() }
}

describe('the Activity API', () => {
  it('gives the app a token for its key and secret, and takes no other', async () => {
    const sandbox = await openSandbox()
    expect((await appToken(sandbox)).body).toMatchObject({ token_type: 'bearer', access_token: expect.any(String) })
    expect((await appToken(sandbox, 'wrong')).status).toBe(401)
    const { access } = await connectAccount(sandbox)
    for (const token of [access, 'made-up']) {
      expect((await subscribe(sandbox, token)).status).toBe(401)
      expect((await openStream(sandbox, token)).status).toBe(401)
    }
  })

  it('lists a subscription, and refuses the same once more', async () => {
    const sandbox = await openSandbox()
    const token = await bearerOf(sandbox)
    const created = await subscribe(sandbox, token, { ...EVENT, tag: 'gateway' })
    expect([created.status, at(created.body, 'data', 'event_type')]).toEqual([201, 'oauth.revoke'])
    expect((await subscribe(sandbox, token)).status).toBe(409)
    expect((await subscribe(sandbox, token, { event_type: 'oauth.revoke', filter: { users: '1' } })).status).toBe(400)
    const headers = { authorization: `Bearer ${token}` }
    const listed = await read(await fetch(`${sandbox.url}/2/activity/subscriptions`, { headers }))
    expect(listed.body).toMatchObject({ data: [{ tag: 'gateway' }], meta: { total_subscriptions: 1 } })
  })

  it('responds to a new subscription in three shapes', async () => {
    for (const [shape, path] of [
      ['object', ['data', 'subscription_id']],
      ['array', ['data', 0, 'subscription_id']],
      ['subscription', ['data', 'subscription', 'subscription_id']],
    ] as const) {
      const sandbox = await openSandbox()
      sandbox.control.setSubscriptionShape(shape)
      const created = await subscribe(sandbox, await bearerOf(sandbox))
      expect(at(created.body, ...path), shape).toEqual(expect.any(String))
    }
  })

  it('tells every stream of a revocation by the user and by the app', async () => {
    const sandbox = await openSandbox()
    const token = await bearerOf(sandbox)
    await subscribe(sandbox, token)
    const streams = [await openStream(sandbox, token), await openStream(sandbox, token)]
    await connectAccount(sandbox)
    sandbox.control.revokeGrant('maraholt')
    const payload = { user_id: '1849302774156890113', app_id: '29000000', date_time: expect.any(String) }
    for (const { nextLine } of streams) {
      const line = String(await nextLine())
      expect(line).toMatch(/\r\n$/)
      expect(JSON.parse(line)).toEqual({
        data: { event_uuid: expect.any(String), event_type: 'oauth.revoke', filter: {}, payload },
      })
    }
    const { refresh } = await connectAccount(sandbox)
    const body = new URLSearchParams({ token: refresh, token_type_hint: 'refresh_token' })
    const headers = { authorization: `Basic ${Buffer.from('x-client:s%E2%82%ACc%3Aret%25%2B+1').toString('base64')}` }
    await fetch(`${sandbox.url}/2/oauth2/revoke`, { method: 'POST', headers, body })
    expect(JSON.parse(String(await streams[0]?.nextLine()))).toMatchObject({ data: { payload } })
  })

  it('tells nobody without a subscription, nor of a grant that another has replaced', async () => {
    const sandbox = await openSandbox()
    const token = await bearerOf(sandbox)
    const { nextLine } = await openStream(sandbox, token)
    await connectAccount(sandbox)
    sandbox.control.revokeGrant('maraholt')
    await subscribe(sandbox, token)
    await connectAccount(sandbox)
    await connectAccount(sandbox)
    sandbox.control.sendActivityLine('the first line')
    expect(await nextLine()).toBe('the first line\r\n')
  })

  it('keeps a stream open with empty lines, allows two, and ends them when told', async () => {
    const sandbox = await openSandbox()
    sandbox.control.setKeepAliveSeconds(0.05)
    const token = await bearerOf(sandbox)
    const [first, second] = [await openStream(sandbox, token), await openStream(sandbox, token)]
    expect(await first.nextLine()).toBe('\r\n')
    expect((await openStream(sandbox, token)).status).toBe(429)
    first.cancel()
    await expect.poll(() => sandbox.control.countActivityStreams()).toBe(1)
    expect((await openStream(sandbox, token)).status).toBe(200)
    sandbox.control.endActivityStreams()
    let line: string | undefined = '\r\n'
    while (line === '\r\n') line = await second.nextLine()
    expect(line).toBeUndefined()
  })

  it('can be closed to the app', async () => {
    const sandbox = await openSandbox()
    const token = await bearerOf(sandbox)
    sandbox.control.setRefusesActivity(true)
    expect((await subscribe(sandbox, token)).status).toBe(403)
    expect((await openStream(sandbox, token)).status).toBe(403)
    expect((await callToken(sandbox, { grant_type: 'refresh_token', refresh_token: 'x' })).status).toBe(400)
  })
})
