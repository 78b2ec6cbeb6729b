import { describe, expect, it } from 'vitest'
import { basic, call, callToken, connectAccount, oauthError, openSandbox, read, refresh, tokensOf } from './client.ts'

const INVALID_TOKEN = [400, 'invalid_request', 'Value passed for the token was invalid.']

describe('refreshing at X', () => {
  it('spends the refresh token and issues a new pair', async () => {
    const sandbox = await openSandbox()
    const first = await connectAccount(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(second.refresh).not.toBe(first.refresh)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(200)
    expect((await refresh(sandbox, second.refresh)).status).toBe(200)
    expect(sandbox.control.grants('maraholt')).toMatchObject([{ live: true, rotations: 2, replays: 0 }])
  })

  it('leaves the earlier access token valid for its two hours, unless switched', async () => {
    const sandbox = await openSandbox()
    const first = await connectAccount(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect((await call(sandbox, first.access, 'GET', '/2/users/me')).status).toBe(200)
    sandbox.control.setRefreshEndsAccessToken(true)
    await refresh(sandbox, second.refresh)
    expect((await call(sandbox, first.access, 'GET', '/2/users/me')).status).toBe(401)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(401)
  })

  it('ends the token family when a spent refresh token is used again', async () => {
    const sandbox = await openSandbox()
    const first = await connectAccount(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(oauthError(await refresh(sandbox, first.refresh))).toEqual(INVALID_TOKEN)
    expect(oauthError(await refresh(sandbox, second.refresh))).toEqual(INVALID_TOKEN)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(sandbox.control.replays()).toBe(1)
    expect(sandbox.control.grants()).toMatchObject([{ live: false, ended: 'replay' }])
  })

  it('only refuses the spent token, by switch', async () => {
    const sandbox = await openSandbox({ replay: 'invalid-request' })
    const first = await connectAccount(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(oauthError(await refresh(sandbox, first.refresh))).toEqual(INVALID_TOKEN)
    const third = tokensOf(await refresh(sandbox, second.refresh))
    expect(sandbox.control.replays()).toBe(1)
    sandbox.control.setReplay('end-grant')
    await refresh(sandbox, second.refresh)
    expect(oauthError(await refresh(sandbox, third.refresh))).toEqual(INVALID_TOKEN)
  })

  it('gives an access token of two hours and a refresh token of six months', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    const tokens = await connectAccount(sandbox)
    sandbox.control.advance(7199)
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(200)
    sandbox.control.advance(1)
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    const second = tokensOf(await refresh(sandbox, tokens.refresh))
    sandbox.control.advance(184 * 86_400)
    expect(oauthError(await refresh(sandbox, second.refresh))).toEqual(INVALID_TOKEN)
  })

  it('refuses an unknown token and names a missing one', async () => {
    const sandbox = await openSandbox()
    expect(oauthError(await refresh(sandbox, 'garbage'))).toEqual(INVALID_TOKEN)
    const missing = await callToken(sandbox, { grant_type: 'refresh_token' })
    expect(oauthError(missing)).toEqual([400, 'invalid_request', 'Missing required parameter [refresh_token].'])
  })

  it('keeps one live pair per account and app: a new authorization ends the earlier grant', async () => {
    const sandbox = await openSandbox()
    const earlier = await connectAccount(sandbox)
    const other = await connectAccount(sandbox, 'tomasz_k')
    const later = await connectAccount(sandbox)
    expect((await call(sandbox, earlier.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(oauthError(await refresh(sandbox, earlier.refresh))).toEqual(INVALID_TOKEN)
    expect((await call(sandbox, later.access, 'GET', '/2/users/me')).status).toBe(200)
    expect((await call(sandbox, other.access, 'GET', '/2/users/me')).status).toBe(200)
    expect(sandbox.control.grants('maraholt').map((grant) => grant.ended)).toEqual(['superseded', null])
  })
})

describe('revoking at X', () => {
  const revoke = async (url: string, fields: Record<string, string>) =>
    read(
      await fetch(`${url}/2/oauth2/revoke`, {
        method: 'POST',
        headers: { authorization: basic() },
        body: new URLSearchParams(fields),
      }),
    )

  it.each(['refresh_token', 'access_token'] as const)('revokes both tokens by either of them: %s', async (hint) => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    const token = hint === 'refresh_token' ? tokens.refresh : tokens.access
    const { status, body } = await revoke(sandbox.url, { token, token_type_hint: hint })
    expect([status, body]).toEqual([200, { revoked: true }])
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(INVALID_TOKEN)
    expect(sandbox.control.grants()).toMatchObject([{ ended: 'revoked-by-app' }])
  })

  it('requires the token type hint', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    const response = await revoke(sandbox.url, { token: tokens.access })
    expect(oauthError(response)).toEqual([400, 'invalid_request', 'Missing required parameter [token_type_hint].'])
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(200)
  })

  it('responds 200 to an unknown token (RFC 7009)', async () => {
    const sandbox = await openSandbox()
    expect((await revoke(sandbox.url, { token: 'garbage', token_type_hint: 'access_token' })).status).toBe(200)
  })

  it('lets a person revoke the app on the connected-apps page', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    const page = `${sandbox.url}/settings/connected_apps`
    expect(await (await fetch(page)).text()).toContain('Revoke access to @maraholt')
    await fetch(page, { method: 'POST', body: new URLSearchParams({ account: 'maraholt' }) })
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(INVALID_TOKEN)
  })
})
