import { describe, expect, it } from 'vitest'
import {
  ALL_SCOPES,
  basic,
  callToken,
  connectAccount,
  consent,
  exchange,
  oauthError,
  openSandbox,
  refresh,
  X_CALLBACK,
  X_SECRET,
} from './client.ts'

const INVALID_CODE = [400, 'invalid_request', 'Value passed for the authorization code was invalid.']
const INVALID_CLIENT = [400, 'invalid_client', 'Value passed for the client id was invalid.']
const UNAUTHORIZED_CLIENT = [401, 'unauthorized_client', 'Missing valid authorization header']

describe('exchanging a code at X', () => {
  it('issues a pair for two hours, with its scopes in another order than requested', async () => {
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

  it('accepts a code once', async () => {
    const sandbox = await openSandbox()
    const { code, verifier } = await consent(sandbox)
    expect((await exchange(sandbox, code, verifier)).status).toBe(200)
    expect(oauthError(await exchange(sandbox, code, verifier))).toEqual(INVALID_CODE)
  })

  it('accepts a code for 30 seconds', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    const late = await consent(sandbox)
    sandbox.control.advance(30)
    expect(oauthError(await exchange(sandbox, late.code, late.verifier))).toEqual(INVALID_CODE)
    const early = await consent(sandbox)
    sandbox.control.advance(29.999)
    expect((await exchange(sandbox, early.code, early.verifier)).status).toBe(200)
  })

  it('refuses a verifier that does not match the challenge, and spends the code', async () => {
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
    // The code was not spent: it still works.
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

describe('client authentication at X', () => {
  it('T-06 decodes form-encoded credentials from Basic exactly', async () => {
    const sandbox = await openSandbox()
    expect((await connectAccount(sandbox)).access).not.toBe('undefined')
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
  ])('refuses %s, and does not end the grant', async (_title, headers, fields, expected) => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    const all = { grant_type: 'refresh_token', refresh_token: tokens.refresh, ...fields }
    const plain = Object.fromEntries(Object.entries(headers))
    expect(oauthError(await callToken(sandbox, all, plain))).toEqual(expected)
    expect((await refresh(sandbox, tokens.refresh)).status).toBe(200)
  })

  it('requires client_id in the body of a public client', async () => {
    const sandbox = await openSandbox({ xClient: { id: 'x-client', secret: null, redirectUris: [X_CALLBACK] } })
    const { code, verifier } = await consent(sandbox)
    const fields = { grant_type: 'authorization_code', code, redirect_uri: X_CALLBACK, code_verifier: verifier }
    const nameless = await callToken(sandbox, fields, {})
    expect(oauthError(nameless)).toEqual([400, 'invalid_request', 'Missing required parameter [client_id].'])
    expect((await callToken(sandbox, { ...fields, client_id: 'x-client' }, {})).status).toBe(200)
  })

  it('accepts a new client secret after a change', async () => {
    const sandbox = await openSandbox()
    const tokens = await connectAccount(sandbox)
    sandbox.control.rotateClientSecret('new')
    expect(oauthError(await refresh(sandbox, tokens.refresh))).toEqual(UNAUTHORIZED_CLIENT)
    const fields = { grant_type: 'refresh_token', refresh_token: tokens.refresh }
    expect((await callToken(sandbox, fields, { authorization: basic('x-client', 'new') })).status).toBe(200)
  })
})
