import { describe, expect, it } from 'vitest'
import {
  ALL_SCOPES,
  basic,
  call,
  callToken,
  consent,
  exchange,
  link,
  oauthError,
  openSandbox,
  read,
  refresh,
  tokensOf,
  X_CALLBACK,
  X_SECRET,
} from './client.ts'

const INVALID_CODE = [400, 'invalid_request', 'Value passed for the authorization code was invalid.']
const INVALID_TOKEN = [400, 'invalid_request', 'Value passed for the token was invalid.']
const INVALID_CLIENT = [400, 'invalid_client', 'Value passed for the client id was invalid.']
const UNAUTHORIZED_CLIENT = [401, 'unauthorized_client', 'Missing valid authorization header']

describe('exchanging a code at X', () => {
  it('gives a pair for two hours, its scopes in another order than asked', async () => {
    const sandbox = await openSandbox()
    for (const scope of [ALL_SCOPES, 'tweet.read users.read tweet.write offline.access', 'users.read tweet.read']) {
      const { code, verifier } = await consent(sandbox, 'maraholt', scope)
      const { status, body, headers } = await exchange(sandbox, code, verifier)
      expect([status, body.token_type, body.expires_in]).toEqual([200, 'bearer', 7200])
      expect(String(body.scope).split(' ').sort()).toEqual(scope.split(' ').sort())
      expect(body.scope).not.toBe(scope)
      expect('refresh_token' in body).toBe(scope.includes('offline.access'))
      expect(headers.get('cache-control')).toBe('no-store')
    }
  })

  it('takes a code once', async () => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    expect((await exchange(sandbox, code, verifier)).status).toBe(200)
    expect(oauthError(await exchange(sandbox, code, verifier))).toEqual(INVALID_CODE)
  })

  it('takes a code for 30 seconds', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    const late = await consent(sandbox)
    sandbox.control.advance(30)
    expect(oauthError(await exchange(sandbox, late.code, late.verifier))).toEqual(INVALID_CODE)
    const early = await consent(sandbox)
    sandbox.control.advance(29.999)
    expect((await exchange(sandbox, early.code, early.verifier)).status).toBe(200)
  })

  it('refuses a verifier that is not the challenge’s, and spends the code', async () => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    expect(oauthError(await exchange(sandbox, code, `${verifier.slice(1)}A`))).toEqual([
      400,
      'invalid_request',
      'Value passed for the code verifier did not match the code challenge.',
    ])
    expect(oauthError(await exchange(sandbox, code, verifier))).toEqual(INVALID_CODE)
  })

  it('refuses another redirect URI', async () => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    const fields = { grant_type: 'authorization_code', code, redirect_uri: `${X_CALLBACK}2`, code_verifier: verifier }
    expect(oauthError(await callToken(sandbox, fields))).toEqual([
      400,
      'invalid_request',
      'Value passed for the redirect uri did not match the uri of the authorization code.',
    ])
  })

  it.each(['grant_type', 'code', 'redirect_uri', 'code_verifier'])('names a missing %s', async (missing) => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    const all = { grant_type: 'authorization_code', code, redirect_uri: X_CALLBACK, code_verifier: verifier }
    const fields = Object.fromEntries(Object.entries(all).filter(([name]) => name !== missing))
    expect(oauthError(await callToken(sandbox, fields))).toEqual([
      400,
      'invalid_request',
      `Missing required parameter [${missing}].`,
    ])
    // The code was not looked at: it still works.
    expect((await exchange(sandbox, code, verifier)).status).toBe(200)
  })

  it.each(['form', 'json', 'query'])('reads parameters from %s', async (where) => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    const fields = { grant_type: 'authorization_code', code, redirect_uri: X_CALLBACK, code_verifier: verifier }
    const url = new URL('/2/oauth2/token', sandbox.url)
    const headers = { authorization: basic(), ...(where === 'json' ? { 'content-type': 'application/json' } : {}) }
    if (where === 'query') url.search = new URLSearchParams(fields).toString()
    const body = { form: new URLSearchParams(fields), json: JSON.stringify(fields), query: null }[where] ?? null
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200)
  })
})

describe('proving the app to X', () => {
  it('decodes form-encoded credentials from Basic exactly', async () => {
    const sandbox = await openSandbox()
    expect((await link(sandbox)).access).not.toBe('undefined')
    const raw = `Basic ${Buffer.from(`x-client:${X_SECRET}`).toString('base64')}`
    expect(oauthError(await callToken(sandbox, {}, { authorization: raw }))).toEqual(UNAUTHORIZED_CLIENT)
  })

  it.each([
    ['an unknown id in Basic', { authorization: basic('nobody') }, {}, INVALID_CLIENT],
    ['an unknown id in the body', {}, { client_id: 'nobody' }, INVALID_CLIENT],
    ['a wrong secret', { authorization: basic('x-client', 'wrong') }, {}, UNAUTHORIZED_CLIENT],
    ['no Basic from a confidential app', {}, { client_id: 'x-client' }, UNAUTHORIZED_CLIENT],
    ['nothing at all from a confidential app', {}, {}, UNAUTHORIZED_CLIENT],
    ['Basic that is no Base64 of a pair', { authorization: 'Basic !!' }, {}, UNAUTHORIZED_CLIENT],
  ])('refuses %s, and the grant lives on', async (_title, headers, fields, expected) => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    const all = { grant_type: 'refresh_token', refresh_token: tokens.refresh, ...fields }
    const plain = Object.fromEntries(Object.entries(headers))
    expect(oauthError(await callToken(sandbox, all, plain))).toEqual(expected)
    expect((await refresh(sandbox, tokens.refresh)).status).toBe(200)
  })

  it('lets a public client name itself in the body, and demands that it does', async () => {
    const sandbox = await openSandbox({ xClient: { id: 'x-client', secret: null, redirectUris: [X_CALLBACK] } })
    const { code, verifier } = await consent(sandbox)
    const fields = { grant_type: 'authorization_code', code, redirect_uri: X_CALLBACK, code_verifier: verifier }
    const nameless = await callToken(sandbox, fields, {})
    expect(oauthError(nameless)).toEqual([400, 'invalid_request', 'Missing required parameter [client_id].'])
    expect((await callToken(sandbox, { ...fields, client_id: 'x-client' }, {})).status).toBe(200)
  })

  it('follows a rotated secret', async () => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    sandbox.control.rotateClientSecret('new')
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(UNAUTHORIZED_CLIENT)
    const fields = { grant_type: 'refresh_token', refresh_token: tokens.refresh }
    expect((await callToken(sandbox, fields, { authorization: basic('x-client', 'new') })).status).toBe(200)
  })
})

describe('refreshing at X', () => {
  it('spends the token and gives another pair', async () => {
    const sandbox = await openSandbox()
    const first = await link(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(second.refresh).not.toBe(first.refresh)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(200)
    expect((await refresh(sandbox, second.refresh)).status).toBe(200)
    expect(sandbox.control.grants('maraholt')).toMatchObject([{ live: true, rotations: 2, replays: 0 }])
  })

  it('lets the earlier access token live out its two hours, unless switched', async () => {
    const sandbox = await openSandbox()
    const first = await link(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect((await call(sandbox, first.access, 'GET', '/2/users/me')).status).toBe(200)
    sandbox.control.setRotationKillsAccessToken(true)
    await refresh(sandbox, second.refresh)
    expect((await call(sandbox, first.access, 'GET', '/2/users/me')).status).toBe(401)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(401)
  })

  it('kills the whole family when a spent token comes again', async () => {
    const sandbox = await openSandbox()
    const first = await link(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(oauthError(await refresh(sandbox, first.refresh))).toEqual(INVALID_TOKEN)
    expect(oauthError(await refresh(sandbox, second.refresh))).toEqual(INVALID_TOKEN)
    expect((await call(sandbox, second.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(sandbox.control.replays()).toBe(1)
    expect(sandbox.control.grants()).toMatchObject([{ live: false, ended: 'replay' }])
  })

  it('or only refuses the spent token, by switch', async () => {
    const sandbox = await openSandbox({ replay: 'invalid-request' })
    const first = await link(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(oauthError(await refresh(sandbox, first.refresh))).toEqual(INVALID_TOKEN)
    const third = tokensOf(await refresh(sandbox, second.refresh))
    expect(sandbox.control.replays()).toBe(1)
    sandbox.control.setReplay('kill-family')
    await refresh(sandbox, second.refresh)
    expect(oauthError(await refresh(sandbox, third.refresh))).toEqual(INVALID_TOKEN)
  })

  it('ends access after two hours and refresh after six months', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    const tokens = await link(sandbox)
    sandbox.control.advance(7199)
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(200)
    sandbox.control.advance(1)
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    const second = tokensOf(await refresh(sandbox, tokens.refresh))
    sandbox.control.advance(184 * 86_400)
    expect(oauthError(await refresh(sandbox, second.refresh))).toEqual(INVALID_TOKEN)
  })

  it('refuses garbage and names a missing token', async () => {
    const sandbox = await openSandbox()
    expect(oauthError(await refresh(sandbox, 'garbage'))).toEqual(INVALID_TOKEN)
    const missing = await callToken(sandbox, { grant_type: 'refresh_token' })
    expect(oauthError(missing)).toEqual([400, 'invalid_request', 'Missing required parameter [refresh_token].'])
  })

  it('keeps one live pair per account and app: a new authorization kills the earlier', async () => {
    const sandbox = await openSandbox()
    const earlier = await link(sandbox)
    const other = await link(sandbox, 'tomasz_k')
    const later = await link(sandbox)
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

  it.each(['refresh_token', 'access_token'] as const)('ends both tokens by either: %s', async (hint) => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    const token = hint === 'refresh_token' ? tokens.refresh : tokens.access
    const { status, body } = await revoke(sandbox.url, { token, token_type_hint: hint })
    expect([status, body]).toEqual([200, { revoked: true }])
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(INVALID_TOKEN)
    expect(sandbox.control.grants()).toMatchObject([{ ended: 'revoked-by-app' }])
  })

  it('demands the token type hint', async () => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    const answer = await revoke(sandbox.url, { token: tokens.access })
    expect(oauthError(answer)).toEqual([400, 'invalid_request', 'Missing required parameter [token_type_hint].'])
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(200)
  })

  it('answers 200 for a token that is nobody’s (RFC 7009)', async () => {
    const sandbox = await openSandbox()
    expect((await revoke(sandbox.url, { token: 'garbage', token_type_hint: 'access_token' })).status).toBe(200)
  })

  it('lets the person revoke at the connected-apps page', async () => {
    const sandbox = await openSandbox()
    const tokens = await link(sandbox)
    const page = `${sandbox.url}/settings/connected_apps`
    expect(await (await fetch(page)).text()).toContain('Revoke access to @maraholt')
    await fetch(page, { method: 'POST', body: new URLSearchParams({ account: 'maraholt' }) })
    expect((await call(sandbox, tokens.access, 'GET', '/2/users/me')).status).toBe(401)
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(INVALID_TOKEN)
  })
})
