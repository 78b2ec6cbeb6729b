import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/server.ts'
import { at, decide, GITHUB_CALLBACK, newPkce, openSandbox, read } from './client.ts'

function authorizeUrl(sandbox: Sandbox, changes: Record<string, string | null> = {}): URL {
  const url = new URL('/login/oauth/authorize', sandbox.url)
  const all = { client_id: 'github-client', redirect_uri: GITHUB_CALLBACK, state: 'state-1', ...changes }
  for (const [name, value] of Object.entries(all)) if (value !== null) url.searchParams.set(name, value)
  return url
}

async function approve(sandbox: Sandbox, changes: Record<string, string | null> = {}, account = 'mara-holt') {
  const response = await decide(authorizeUrl(sandbox, changes), { account, decision: 'approve' })
  return response.get('code') ?? ''
}

async function exchange(sandbox: Sandbox, fields: Record<string, string>, headers: Record<string, string> = {}) {
  const all = { client_id: 'github-client', client_secret: 'github-secret', redirect_uri: GITHUB_CALLBACK, ...fields }
  const init = { method: 'POST', headers: { accept: 'application/json', ...headers }, body: new URLSearchParams(all) }
  return read(await fetch(`${sandbox.url}/login/oauth/access_token`, init))
}

describe('GitHub’s sign-in', () => {
  it('gives access to the public profile, by a code with PKCE', async () => {
    const sandbox = await openSandbox()
    const { verifier, challenge } = newPkce()
    const pkce = { code_challenge: challenge, code_challenge_method: 'S256' }
    const code = await approve(sandbox, { ...pkce, scope: 'read:user user:email' })
    const { status, body } = await exchange(sandbox, { code, code_verifier: verifier })
    expect([status, body.token_type, body.scope]).toEqual([200, 'bearer', 'read:user,user:email'])
    const headers = { authorization: `Bearer ${body.access_token}`, 'x-github-api-version': '2022-11-28' }
    const user = await read(await fetch(`${sandbox.url}/user`, { headers }))
    expect(user.body).toMatchObject({ login: 'mara-holt', id: 58320114, name: 'Mara Holt' })
    expect((await fetch(String(user.body.avatar_url))).headers.get('content-type')).toBe('image/svg+xml')
    sandbox.control.renameGithubPerson('mara-holt', 'mara-new')
    const renamed = await read(await fetch(`${sandbox.url}/user`, { headers }))
    expect(renamed.body).toMatchObject({ login: 'mara-new', id: 58320114 })
  })

  it('identifies people by id: a login may pass from one to another', async () => {
    const sandbox = await openSandbox()
    sandbox.control.renameGithubPerson('mara-holt', 'mara-new')
    const id = sandbox.control.addGithubPerson('mara-holt')
    expect(() => sandbox.control.addGithubPerson('mara-holt')).toThrow('taken')
    const { body } = await exchange(sandbox, { code: await approve(sandbox) })
    const user = await fetch(`${sandbox.url}/user`, { headers: { authorization: `token ${body.access_token}` } })
    expect(await user.json()).toMatchObject({ id, login: 'mara-holt', name: null })
    expect(id).not.toBe(58320114)
  })

  it('refuses the old client secret after a change', async () => {
    const sandbox = await openSandbox()
    sandbox.control.rotateGithubClientSecret('another')
    const { status, body } = await exchange(sandbox, { code: await approve(sandbox) })
    expect([status, body.error]).toEqual([200, 'incorrect_client_credentials'])
  })

  it('has people without a name and an e-mail address', async () => {
    const sandbox = await openSandbox()
    const { body } = await exchange(sandbox, { code: await approve(sandbox, {}, 'yuki-ito') })
    const user = await fetch(`${sandbox.url}/user`, { headers: { authorization: `token ${body.access_token}` } })
    expect(await user.json()).toMatchObject({ name: null, email: null })
  })

  it('responds to errors with HTTP 200', async () => {
    const sandbox = await openSandbox()
    const code = await approve(sandbox)
    const wrongSecret = await exchange(sandbox, { code, client_secret: 'wrong' })
    expect([wrongSecret.status, wrongSecret.body.error]).toEqual([200, 'incorrect_client_credentials'])
    expect(Object.keys(wrongSecret.body)).toEqual(['error', 'error_description', 'error_uri'])
    const wrongRedirect = await exchange(sandbox, { code, redirect_uri: `${GITHUB_CALLBACK}/2` })
    expect([wrongRedirect.status, wrongRedirect.body.error]).toEqual([200, 'redirect_uri_mismatch'])
    const garbage = await exchange(sandbox, { code: 'garbage' })
    expect([garbage.status, garbage.body.error]).toEqual([200, 'bad_verification_code'])
  })

  it('accepts a code once, within ten minutes, with its own verifier', async () => {
    const sandbox = await openSandbox()
    const once = await approve(sandbox)
    expect((await exchange(sandbox, { code: once })).body).toHaveProperty('access_token')
    expect((await exchange(sandbox, { code: once })).body.error).toBe('bad_verification_code')
    const late = await approve(sandbox)
    sandbox.control.advance(600)
    expect((await exchange(sandbox, { code: late })).body.error).toBe('bad_verification_code')
    const pkce = { code_challenge: newPkce().challenge, code_challenge_method: 'S256' }
    const stolen = await approve(sandbox, pkce)
    expect((await exchange(sandbox, { code: stolen })).body.error).toBe('bad_verification_code')
    const guessed = await approve(sandbox, pkce)
    const response = await exchange(sandbox, { code: guessed, code_verifier: newPkce().verifier })
    expect(response.body.error).toBe('bad_verification_code')
  })

  it('responds in form encoding unless JSON is requested, and accepts Basic credentials', async () => {
    const sandbox = await openSandbox()
    const text = await exchange(sandbox, { code: await approve(sandbox) }, { accept: '*/*' })
    expect(new URLSearchParams(text.text).get('token_type')).toBe('bearer')
    const basic = `Basic ${Buffer.from('github-client:github-secret').toString('base64')}`
    const fields = { code: await approve(sandbox), client_id: '', client_secret: '' }
    expect((await exchange(sandbox, fields, { authorization: basic })).body).toHaveProperty('access_token')
  })

  it('redirects back with the reason and the state after a refusal', async () => {
    const sandbox = await openSandbox()
    const response = await decide(authorizeUrl(sandbox), { decision: 'deny' })
    expect([...response.keys()]).toEqual(['error', 'error_description', 'error_uri', 'iss', 'state'])
    expect(response.get('error')).toBe('access_denied')
    expect(response.get('iss')).toBe(`${sandbox.url}/login/oauth`)
  })

  it('redirects back with an error in place of a code when the app is suspended', async () => {
    const sandbox = await openSandbox()
    sandbox.control.setGithubAppSuspended(true)
    const response = await decide(authorizeUrl(sandbox), { account: 'mara-holt', decision: 'approve' })
    expect([response.get('error'), response.get('code'), response.get('state')]).toEqual([
      'application_suspended',
      null,
      'state-1',
    ])
    const shown = await fetch(authorizeUrl(sandbox), { redirect: 'manual' })
    expect([shown.status, shown.headers.get('location')]).toEqual([
      302,
      expect.stringContaining('application_suspended'),
    ])
    sandbox.control.setGithubAppSuspended(false)
    expect(await approve(sandbox)).not.toBe('')
  })

  it('issues no token for a person whose primary email address is not verified', async () => {
    const sandbox = await openSandbox()
    sandbox.control.setGithubPerson('mara-holt', { emailVerified: false })
    const { status, body } = await exchange(sandbox, { code: await approve(sandbox) })
    expect([status, body.error]).toEqual([200, 'unverified_user_email'])
    sandbox.control.setGithubPerson('mara-holt', { emailVerified: true })
    expect((await exchange(sandbox, { code: await approve(sandbox) })).body).toHaveProperty('access_token')
  })

  it.each([
    ['a wrong client id', { client_id: 'nobody' }],
    ['an unregistered redirect', { redirect_uri: 'http://127.0.0.1:3001/auth/github/callback' }],
    ['a redirect that is not a URL', { redirect_uri: '//' }],
    ['the plain method', { code_challenge: 'x', code_challenge_method: 'plain' }],
  ])('shows its error page for %s', async (_title, changes) => {
    const sandbox = await openSandbox()
    const response = await fetch(authorizeUrl(sandbox, changes), { redirect: 'manual' })
    expect(response.status).toBe(400)
  })
})

describe('GitHub’s API', () => {
  it('requires a User-Agent before all other checks', async () => {
    const sandbox = await openSandbox()
    const response = await fetch(`${sandbox.url}/user`, { headers: { 'user-agent': '' } })
    expect([response.status, await response.text()]).toEqual([403, expect.stringContaining('User-Agent')])
  })

  it('responds 403 to the token of a person whose account is suspended', async () => {
    const sandbox = await openSandbox()
    const { body } = await exchange(sandbox, { code: await approve(sandbox) })
    sandbox.control.setGithubPerson('mara-holt', { suspended: true })
    const headers = { authorization: `Bearer ${body.access_token}` }
    const user = await read(await fetch(`${sandbox.url}/user`, { headers }))
    expect([user.status, at(user.body, 'message')]).toEqual([403, 'Sorry. Your account was suspended.'])
  })

  it('responds 401 with a message without a valid token', async () => {
    const sandbox = await openSandbox()
    const bad = await read(await fetch(`${sandbox.url}/user`, { headers: { authorization: 'Bearer no' } }))
    expect([bad.status, at(bad.body, 'message')]).toEqual([401, 'Bad credentials'])
    expect((await fetch(`${sandbox.url}/user`)).status).toBe(401)
  })
})
