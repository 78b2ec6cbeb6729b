import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TokenResponse } from '../../src/auth/oauth-client.ts'
import { productionTiming } from '../../src/config/timing.ts'
import { classifyTokenError, parseIssuedTokens, type TokenErrorMeaning } from '../../src/x/token-response.ts'

const read = (body: Record<string, unknown>) => parseIssuedTokens(body, productionTiming)
const pair = { access_token: 'a', refresh_token: 'r' }

describe('T-04 a 200 response', () => {
  test.each<[string, Record<string, unknown>, ReturnType<typeof read>]>([
    [
      "X's own",
      { token_type: 'bearer', expires_in: 7200, ...pair, scope: 'users.read tweet.read' },
      { accessToken: 'a', refreshToken: 'r', expiresInSeconds: 7200, scopes: ['users.read', 'tweet.read'] },
    ],
    ['a bare pair', pair, { accessToken: 'a', refreshToken: 'r', expiresInSeconds: 7200, scopes: null }],
    [
      'no refresh token',
      { access_token: 'a' },
      { accessToken: 'a', refreshToken: null, expiresInSeconds: 7200, scopes: null },
    ],
    [
      'no access token',
      { refresh_token: 'r', expires_in: 7200 },
      { accessToken: null, refreshToken: 'r', expiresInSeconds: 0, scopes: null },
    ],
    [
      'an empty refresh token',
      { access_token: 'a', refresh_token: '' },
      { accessToken: 'a', refreshToken: null, expiresInSeconds: 7200, scopes: null },
    ],
    [
      'an empty access token',
      { access_token: '', refresh_token: 'r' },
      { accessToken: null, refreshToken: 'r', expiresInSeconds: 0, scopes: null },
    ],
    [
      'an access token that is a number',
      { access_token: 1, refresh_token: 'r' },
      { accessToken: null, refreshToken: 'r', expiresInSeconds: 0, scopes: null },
    ],
    [
      'a refresh token that is null',
      { access_token: 'a', refresh_token: null },
      { accessToken: 'a', refreshToken: null, expiresInSeconds: 7200, scopes: null },
    ],
    [
      'an error beside the pair',
      { ...pair, error: 'invalid_grant' },
      { accessToken: 'a', refreshToken: 'r', expiresInSeconds: 7200, scopes: null },
    ],
    ['neither token', { token_type: 'bearer', expires_in: 7200 }, null],
    ['an error', { error: 'invalid_grant' }, null],
    ['nothing', {}, null],
    ['tokens in lists', { access_token: ['a'], refresh_token: { value: 'r' } }, null],
  ])('with %s', (_, body, expected) => {
    expect(read(body)).toEqual(expected)
  })

  test.each<[unknown, number]>([
    [7200, 7200],
    [60, 60],
    [59, 60],
    [0, 60],
    [-0, 60],
    [-1, 60],
    [0.5, 60],
    [3600.25, 3600.25],
    [86_400, 86_400],
    [86_401, 86_400],
    [1e99, 86_400],
    [Number.MAX_VALUE, 86_400],
    [Number.POSITIVE_INFINITY, 86_400],
    [Number.NEGATIVE_INFINITY, 60],
    [Number.NaN, 7200],
    ['7200', 7200],
    [' 3600 ', 3600],
    ['1e3', 1000],
    ['-5', 60],
    ['Infinity', 86_400],
    ['', 7200],
    [' ', 7200],
    ['soon', 7200],
    ['7200s', 7200],
    [null, 7200],
    [undefined, 7200],
    [true, 7200],
    [[], 7200],
    [[3600], 7200],
    [{}, 7200],
  ])('with expires_in %j is valid for %d seconds', (expiresIn, expected) => {
    expect(read({ ...pair, expires_in: expiresIn })?.expiresInSeconds).toBe(expected)
  })

  test.each<[unknown, string[] | null]>([
    ['', []],
    ['  ', []],
    ['a', ['a']],
    ['b a  c', ['b', 'a', 'c']],
    ['a,b', ['a', 'b']],
    [null, null],
    [['a'], null],
    [7, null],
  ])('with scope %j grants %j', (scope, expected) => {
    expect(read({ ...pair, scope })?.scopes).toEqual(expected)
  })

  test('never loses a refresh token, whatever the other fields are', () => {
    const odd = fc.oneof(fc.jsonValue(), fc.double(), fc.constant(undefined))
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.dictionary(fc.string(), odd),
        fc.record(
          { access_token: odd, expires_in: odd, scope: odd, token_type: odd, error: odd },
          { requiredKeys: [] },
        ),
        (refreshToken, more, known) => {
          const issued = read({ ...more, ...known, refresh_token: refreshToken })
          expect(issued?.refreshToken).toBe(refreshToken)
          expect(issued?.expiresInSeconds).toBeGreaterThanOrEqual(issued?.accessToken === null ? 0 : 60)
          expect(issued?.expiresInSeconds).toBeLessThanOrEqual(86_400)
        },
      ),
    )
  })
})

describe('T-05 a response without tokens', () => {
  const refused = (status: number, error: string, description: string | null = null): TokenResponse => ({
    kind: 'refused',
    status,
    error,
    description,
    report: { sent: true, status, headers: {} },
  })
  const withStatus = (status: number | null, sent = true, contentType = 'application/json'): TokenResponse => ({
    kind: 'unusable',
    sent,
    status,
    report: { sent, status, headers: { 'content-type': contentType } },
    cause: null,
  })
  const invalid = 'Value passed for the token was invalid.'

  test.each<[string, TokenResponse, TokenErrorMeaning]>([
    ['400 invalid_request: the token was invalid', refused(400, 'invalid_request', invalid), 'GRANT_DEAD'],
    ['400 invalid_grant', refused(400, 'invalid_grant'), 'GRANT_DEAD'],
    ['400 invalid_grant with any words', refused(400, 'invalid_grant', 'Gone.'), 'GRANT_DEAD'],
    ['400 invalid_request without words', refused(400, 'invalid_request'), 'RETRY_LATER'],
    [
      '400 missing parameter',
      refused(400, 'invalid_request', 'Missing required parameter [refresh_token].'),
      'RETRY_LATER',
    ],
    [
      '400 invalid_client',
      refused(400, 'invalid_client', 'Value passed for the client id was invalid.'),
      'APP_REJECTED',
    ],
    ['400 unauthorized_client', refused(400, 'unauthorized_client'), 'APP_REJECTED'],
    ['400 unsupported_grant_type', refused(400, 'unsupported_grant_type', invalid), 'RETRY_LATER'],
    ['400 of no known code', refused(400, 'unreadable', invalid), 'RETRY_LATER'],
    [
      '401 unauthorized_client',
      refused(401, 'unauthorized_client', 'Missing valid authorization header'),
      'APP_REJECTED',
    ],
    ['401 invalid_grant', refused(401, 'invalid_grant'), 'APP_REJECTED'],
    ['401 with the words for a dead token', refused(401, 'invalid_request', invalid), 'APP_REJECTED'],
    ['a bare 401', withStatus(401), 'APP_REJECTED'],
    ['a bare 400', withStatus(400), 'RETRY_LATER'],
    ['403', withStatus(403), 'RETRY_LATER'],
    ['404', withStatus(404), 'RETRY_LATER'],
    ['408', withStatus(408), 'RETRY_LATER'],
    ['425', withStatus(425), 'RETRY_LATER'],
    ['429', withStatus(429), 'RETRY_LATER'],
    ['500 in JSON', withStatus(500), 'RETRY_LATER'],
    ['503 in problem JSON', withStatus(503, true, 'application/problem+json'), 'RETRY_LATER'],
    ['500 in HTML', withStatus(500, true, 'text/html'), 'AMBIGUOUS'],
    ['503 without a type', withStatus(503, true, ''), 'AMBIGUOUS'],
    ['502 in JSON', withStatus(502), 'AMBIGUOUS'],
    ['504 in JSON', withStatus(504), 'AMBIGUOUS'],
    ['200 without JSON', withStatus(200), 'AMBIGUOUS'],
    ['201', withStatus(201), 'AMBIGUOUS'],
    ['204', withStatus(204), 'AMBIGUOUS'],
    ['302', withStatus(302), 'AMBIGUOUS'],
    ['no response after the request was sent', withStatus(null), 'AMBIGUOUS'],
    ['no connection', withStatus(null, false), 'RETRY_LATER'],
  ])('%s', (_, response, meaning) => {
    if (response.kind === 'issued') throw new Error('Not here')
    expect(classifyTokenError(response)).toBe(meaning)
  })
})
