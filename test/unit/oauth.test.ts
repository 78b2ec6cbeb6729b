import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { createAuthorizationUrl, exchangeCode, exchangeRefreshToken, revokeToken } from '../../src/auth/oauth-client.ts'
import { createCodeVerifier } from '../../src/crypto.ts'
import { noCircuitBreaker } from '../../src/outbound/provider-calls.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'

const app = {
  clientId: 'an id & more',
  clientSecret: null,
  redirectUri: 'http://127.0.0.1:3000/auth/x/callback',
}

test('the code challenge is that of RFC 7636 appendix B', () => {
  const url = new URL(
    createAuthorizationUrl(app, 'https://x.com/i/oauth2/authorize', {
      state: 's',
      codeVerifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
      scopes: [],
    }),
  )
  expect(url.searchParams.get('code_challenge')).toBe('E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
  expect(url.searchParams.get('code_challenge_method')).toBe('S256')
})

test('scopes are separated by %20, and all other parameters arrive unchanged', () => {
  const url = createAuthorizationUrl(app, 'https://x.com/i/oauth2/authorize', {
    state: 'a+b',
    codeVerifier: createCodeVerifier(),
    scopes: ['tweet.read', 'offline.access'],
  })
  expect(url).toContain('scope=tweet.read%20offline.access')
  expect(url).not.toContain('+')
  expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({
    response_type: 'code',
    client_id: app.clientId,
    redirect_uri: app.redirectUri,
    state: 'a+b',
    scope: 'tweet.read offline.access',
  })
})

test('a code verifier has the maximum length of RFC 7636 section 4.1, and differs each time', () => {
  const verifiers = Array.from({ length: 1_000 }, createCodeVerifier)
  for (const verifier of verifiers) expect(verifier).toMatch(/^[A-Za-z0-9_-]{128}$/)
  expect(new Set(verifiers).size).toBe(1_000)
})

test('T-06 T-09 an id and a secret of any characters arrive unchanged in a header, and not in the URL', async () => {
  const secret = 's€c:ret%+ &=1'
  const received: { url: string; authorization: string }[] = []
  const provider = createServer((request, response) => {
    received.push({ url: request.url ?? '', authorization: request.headers.authorization ?? '' })
    response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
  })
  const port = await listenLocally(provider)
  try {
    const endpoint = `http://127.0.0.1:${port}/token`
    const confidential = { ...app, clientSecret: secret }
    await exchangeCode(confidential, endpoint, 'a-code', createCodeVerifier())
    await exchangeRefreshToken(confidential, endpoint, 'a-refresh-token', noCircuitBreaker)
    await revokeToken(confidential, endpoint, 'a-token', 'refresh_token')
  } finally {
    await closeServer(provider)
  }
  expect(received.map(({ url }) => url)).toEqual(['/token', '/token', '/token'])
  for (const { authorization } of received) {
    const pair = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
      .toString('latin1')
      .split(':')
    // RFC 6749 section 2.3.1: both are encoded as application/x-www-form-urlencoded.
    expect(pair.map((part) => new URLSearchParams(`v=${part}`).get('v'))).toEqual([app.clientId, secret])
  }
})
