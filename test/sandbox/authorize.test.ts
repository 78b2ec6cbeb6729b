import { describe, expect, it } from 'vitest'
import {
  ALL_SCOPES,
  authorizeUrl,
  consent,
  decide,
  exchange,
  newPkce,
  openSandbox,
  post,
  tokensOf,
  X_CALLBACK,
} from './client.ts'

describe('X’s authorization page', () => {
  it('redirects back with state and code after an approval, in this order', async () => {
    const sandbox = await openSandbox()
    const response = await decide(authorizeUrl(sandbox, newPkce().challenge), {
      account: 'maraholt',
      decision: 'approve',
    })
    expect([...response.keys()]).toEqual(['state', 'code'])
    expect(response.get('state')).toBe('state-1')
  })

  it('redirects back with access_denied and the state after a refusal', async () => {
    const sandbox = await openSandbox()
    const response = await decide(authorizeUrl(sandbox, newPkce().challenge), { decision: 'deny' })
    expect(Object.fromEntries(response)).toEqual({ error: 'access_denied', state: 'state-1' })
    expect(sandbox.control.grants()).toEqual([])
  })

  it.each([
    ['a wrong client id', { client_id: 'nobody' }],
    ['an unregistered redirect', { redirect_uri: `${X_CALLBACK}/` }],
    ['localhost for 127.0.0.1', { redirect_uri: X_CALLBACK.replace('127.0.0.1', 'localhost') }],
    ['a missing challenge', { code_challenge: null }],
    ['an empty challenge', { code_challenge: '' }],
    ['a challenge that is not a SHA-256 digest', { code_challenge: 'short' }],
    ['the plain method', { code_challenge_method: 'plain' }],
    ['an unknown scope', { scope: `${ALL_SCOPES} tweet.everything` }],
    ['no scope', { scope: null }],
    ['no state', { state: null }],
    ['a state of 501 characters', { state: 's'.repeat(501) }],
    ['another response type', { response_type: 'token' }],
  ])('shows its own error page and never redirects for %s', async (_title, changes) => {
    const sandbox = await openSandbox()
    const url = authorizeUrl(sandbox, newPkce().challenge, changes)
    for (const init of [
      {},
      { method: 'POST', body: new URLSearchParams({ account: 'maraholt', decision: 'approve' }) },
    ]) {
      const response = await fetch(url, { ...init, redirect: 'manual' })
      expect(response.status).toBe(400)
      expect(response.headers.has('location')).toBe(false)
      expect(await response.text()).toContain('Something went wrong')
    }
  })

  it('shows its error page for a parameter sent twice', async () => {
    const sandbox = await openSandbox()
    const url = authorizeUrl(sandbox, newPkce().challenge)
    url.searchParams.append('state', 'another')
    expect((await fetch(url)).status).toBe(400)
  })

  it('accepts a state of 500 characters, and changes JSON punctuation in it', async () => {
    const sandbox = await openSandbox()
    const { challenge } = newPkce()
    const form = { account: 'maraholt', decision: 'approve' }
    const long = await decide(authorizeUrl(sandbox, challenge, { state: 's'.repeat(500) }), form)
    expect(long.get('state')).toBe('s'.repeat(500))
    const json = await decide(authorizeUrl(sandbox, challenge, { state: '{"a":1}' }), form)
    expect(json.get('state')).not.toBe('{"a":1}')
  })

  it('creates an account for a new username', async () => {
    const sandbox = await openSandbox()
    const { verifier, challenge } = newPkce()
    const form = { account: 'maraholt', new_account: '@fresh_start', decision: 'approve' }
    const response = await decide(authorizeUrl(sandbox, challenge), form)
    const tokens = tokensOf(await exchange(sandbox, response.get('code') ?? '', verifier))
    await post(sandbox, tokens.access, 'first')
    expect(sandbox.control.tweets('fresh_start').map((tweet) => tweet.text)).toEqual(['first'])
  })

  it.each([
    ['an unknown account', { account: 'nobody', decision: 'approve' }],
    ['a taken username', { new_account: 'MaraHolt', decision: 'approve' }],
    ['an impossible username', { new_account: 'no spaces!', decision: 'approve' }],
    ['a name that is the path of a page of X', { new_account: 'settings', decision: 'approve' }],
    ['no decision', { account: 'maraholt' }],
    ['no account', { decision: 'approve' }],
  ])('asks again for %s', async (_title, form) => {
    const sandbox = await openSandbox()
    const url = authorizeUrl(sandbox, newPkce().challenge)
    const response = await fetch(url, { method: 'POST', redirect: 'manual', body: new URLSearchParams(form) })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('role="alert"')
  })

  it('grants fewer scopes than requested when a test limits the account', async () => {
    const sandbox = await openSandbox()
    sandbox.control.grantScopes('maraholt', ['tweet.read', 'users.read'])
    const limited = await consent(sandbox)
    const response = await exchange(sandbox, limited.code, limited.verifier)
    expect(String(response.body.scope).split(' ').sort()).toEqual(['tweet.read', 'users.read'])
    expect(response.body).not.toHaveProperty('refresh_token')
    sandbox.control.grantScopes('maraholt', null)
    const full = await consent(sandbox)
    expect((await exchange(sandbox, full.code, full.verifier)).body).toHaveProperty('refresh_token')
  })
})
