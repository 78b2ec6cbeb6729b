import { ApiError, Client, OAuth2 } from '@xdevplatform/xdk'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Sandbox } from '../../src/sandbox/server.ts'
import { connectAccount, decide, newPkce, openSandbox, X_CALLBACK } from './client.ts'

/** X's own SDK works with the sandbox: an independent reading of X's API. */
describe('X’s own SDK', () => {
  it('gets users/me and posts a tweet', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const client = new Client({ accessToken: access, baseUrl: sandbox.url })
    const me = await client.users.getMe({ userFields: ['subscription_type', 'profile_image_url'] })
    expect(me.data).toMatchObject({ username: 'maraholt', id: '1849302774156890113' })
    const created = await client.posts.create({ text: 'hello from X’s SDK' })
    expect(sandbox.control.tweets('maraholt')).toMatchObject([{ id: created.data?.id, text: 'hello from X’s SDK' }])
    const again = client.posts.create({ text: 'hello from X’s SDK' })
    await expect(again).rejects.toBeInstanceOf(ApiError)
    await expect(again).rejects.toMatchObject({ status: 403 })
  })

  it('reads a timeline and deletes a tweet', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const client = new Client({ accessToken: access, baseUrl: sandbox.url })
    const id = sandbox.control.postAs('maraholt', 'soon gone')
    const timeline = await client.users.getPosts('1849302774156890113', { maxResults: 5, postFields: ['created_at'] })
    expect(timeline.data).toMatchObject([{ id, text: 'soon gone' }])
    await client.posts.delete(id)
    expect(sandbox.control.tweets()).toEqual([])
  })

  it('completes a PKCE flow and refreshes the tokens', async () => {
    const sandbox = await openSandbox({ xClient: { id: 'x-client', secret: 'secret', redirectUris: [X_CALLBACK] } })
    leadToSandbox(sandbox)
    const oauth = new OAuth2({
      clientId: 'x-client',
      clientSecret: 'secret',
      redirectUri: X_CALLBACK,
      scope: ['tweet.read', 'users.read', 'tweet.write', 'offline.access'],
    })
    const { verifier, challenge } = newPkce()
    await oauth.setPkceParameters(verifier, challenge)
    const url = new URL(await oauth.getAuthorizationUrl('state-1'))
    const response = await decide(new URL(url.pathname + url.search, sandbox.url), {
      account: 'tomasz_k',
      decision: 'approve',
    })
    const token = await oauth.exchangeCode(response.get('code') ?? '', verifier)
    expect(token).toMatchObject({ token_type: 'bearer', expires_in: 7200 })
    const refreshed = await oauth.refreshToken()
    expect(refreshed.refresh_token).not.toBe(token.refresh_token)
    const client = new Client({ accessToken: refreshed.access_token, baseUrl: sandbox.url })
    expect((await client.users.getMe()).data).toMatchObject({ username: 'tomasz_k' })
  })
})

// The SDK's token endpoint cannot be configured, so calls to api.x.com are sent to the sandbox.
function leadToSandbox(sandbox: Sandbox): void {
  const realFetch = globalThis.fetch
  vi.stubGlobal('fetch', (input: string | URL, init?: RequestInit) =>
    realFetch(String(input).replace('https://api.x.com', sandbox.url), init),
  )
  onTestFinished(() => void vi.unstubAllGlobals())
}
