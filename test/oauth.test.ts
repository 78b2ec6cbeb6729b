import { expect, test } from 'vitest'
import { createAuthorizationUrl } from '../src/auth/oauth.ts'
import { createCodeVerifier } from '../src/crypto.ts'
import { noBreaker } from '../src/outbound.ts'

const app = {
  clientId: 'an id & more',
  clientSecret: null,
  redirectUri: 'http://127.0.0.1:3000/auth/x/callback',
  breaker: noBreaker,
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

test('scopes are separated by %20, and everything else arrives as it was given', () => {
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

test('a code verifier is the longest that RFC 7636 section 4.1 allows, and never the same', () => {
  const verifiers = Array.from({ length: 1_000 }, createCodeVerifier)
  for (const verifier of verifiers) expect(verifier).toMatch(/^[A-Za-z0-9_-]{128}$/)
  expect(new Set(verifiers).size).toBe(1_000)
})
