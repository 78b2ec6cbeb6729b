// Requests other than documents: credentials, a provider's redirects, and forms. Most are nearly
// valid.
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { randomToken } from '../../../src/crypto.ts'
import { type Choices, readChoices } from './choices.ts'
import { hostileTexts } from './hostile-texts.ts'

/**
 * One request. `attempt`: the kind of attempt, started just before, whose state and cookie replace
 * STATE and COOKIE.
 */
export type RequestInput = {
  attempt: 'github' | 'x' | null
  method: string
  path: string
  headers: [name: string, value: string][]
  body: string | null
}

const VIEWER = '{"query":"{ viewer { login } connectedAccounts { id } }"}'
const SITES = ['same-origin', 'same-origin', 'same-site', 'cross-site', 'none', '', 'SAME-ORIGIN', ', ']
const COOKIES = [
  'xconnect_session',
  'xconnect_sign_in_0123456789abcdef',
  '__Host-xconnect_session',
  'auth_session',
  'x',
  '',
  '__proto__',
]
const SCHEMES = ['Bearer', 'bearer', 'BEARER', 'Basic', 'Digest', 'Negotiate', '', 'Bearer Bearer', 'Bearer\t']
const PARAMETERS = [
  'state',
  'code',
  'error',
  'error_description',
  'iss',
  'returnTo',
  'access_token',
  'scope',
  '__proto__',
  '',
]
const PROVIDER_ERRORS = [
  'access_denied',
  'invalid_scope',
  'server_error',
  '<script>1</script>',
  'application_suspended',
]
const CONTENT_TYPES = [
  ...[
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded;charset=utf-7',
  ],
  ...[
    'application/json',
    'multipart/form-data; boundary=x',
    'multipart/form-data',
    'text/plain',
    'application/graphql',
    'x/y',
    ';',
    '',
  ],
]
// A well-formed token that does not exist.
const UNKNOWN = [createSecret(randomUUID()), randomToken(), randomToken(96), `gho_${'0'.repeat(36)}`]

/** Credentials: cookies and Authorization headers, to the API and to routes for browsers. */
export const identityInputs: fc.Arbitrary<RequestInput> = arbitrary((choices) => {
  const headers: [string, string][] = [
    ['content-type', 'application/json'],
    ['sec-fetch-site', choices.pick(SITES)],
  ]
  if (!choices.oneIn(4)) headers.push(['cookie', writeCookies(choices)])
  if (choices.oneIn(2)) headers.push(['authorization', writeAuthorization(choices)])
  for (const name of ['origin', 'x-forwarded-for', 'forwarded', 'x-request-id', 'host', 'user-agent'])
    if (choices.oneIn(6)) headers.push([name, writeHeaderText(choices)])
  const ofApi = !choices.oneIn(4)
  return ofApi
    ? { attempt: null, method: 'POST', path: '/graphql', headers, body: VIEWER }
    : {
        attempt: null,
        method: 'GET',
        path: choices.pick(['/auth/x', '/', '/graphql', '/auth/github']),
        headers,
        body: null,
      }
})

/** A provider's redirect back to the gateway. */
export const callbackInputs: fc.Arbitrary<RequestInput> = arbitrary((choices) => {
  const attempt = choices.oneIn(3) ? choices.pick(['github', 'x'] as const) : null
  const provider = attempt !== null && !choices.oneIn(8) ? attempt : choices.pick(['github', 'x'])
  const parameters: [string, string][] = []
  if (attempt !== null && !choices.oneIn(6)) parameters.push(['state', 'STATE'], ['code', choices.pick(UNKNOWN)])
  for (let more = choices.below(4); more > 0; more--) parameters.push([choices.pick(PARAMETERS), writeText(choices)])
  if (choices.oneIn(8)) parameters.push(['error', choices.pick(PROVIDER_ERRORS)])
  const query = choices.oneIn(10) ? scramble(choices, writeQuery(parameters)) : writeQuery(parameters)
  const headers: [string, string][] = [['sec-fetch-site', choices.pick(SITES)]]
  if (!choices.oneIn(3)) headers.push(['cookie', attempt === null ? writeCookies(choices) : 'COOKIE'])
  return { attempt, method: 'GET', path: `/auth/${provider}/callback?${query}`, headers, body: null }
})

/** Bodies for routes that expect a form, and for others. */
export const formInputs: fc.Arbitrary<RequestInput> = arbitrary((choices) => {
  const fields: [string, string][] = []
  for (let more = choices.below(3); more >= 0; more--)
    fields.push([
      choices.pick(['token', 'token', 'token_type_hint', 'access_token', 'query', '__proto__', '']),
      writeText(choices),
    ])
  const form = writeQuery(fields)
  const body = choices.oneIn(5)
    ? scramble(choices, form)
    : choices.oneIn(8)
      ? 'a=b&'.repeat(choices.below(4_000))
      : form
  const headers: [string, string][] = [
    ['content-type', choices.pick(CONTENT_TYPES)],
    ['sec-fetch-site', choices.pick(SITES)],
  ]
  if (choices.oneIn(4)) headers.push(['cookie', writeCookies(choices)])
  const path = choices.pick(['/auth/token/revoke', '/auth/token/revoke', '/auth/sign-out', '/graphql', '/nowhere'])
  return {
    attempt: null,
    method: choices.pick(['POST', 'POST', 'POST', 'PUT', 'DELETE', 'PATCH']),
    path,
    headers,
    body,
  }
})

function arbitrary(write: (choices: Choices) => RequestInput): fc.Arbitrary<RequestInput> {
  return fc.uint8Array({ minLength: 8, maxLength: 80, size: 'max' }).map((bytes) => write(readChoices(bytes)))
}

function writeText(choices: Choices): string {
  if (choices.oneIn(3)) return choices.pick(UNKNOWN)
  return choices.oneIn(3) ? scramble(choices, choices.pick(UNKNOWN)) : choices.pick(hostileTexts)
}

// Invalid header values are refused before the gateway sees them; another test covers the raw bytes
// of HTTP.
function writeHeaderText(choices: Choices): string {
  return Buffer.from(writeText(choices), 'utf8')
    .toString('latin1')
    .replaceAll(/[\0\r\n]/g, '')
}

function writeCookies(choices: Choices): string {
  const cookies = Array.from({ length: 1 + choices.below(4) }, () => {
    const value = choices.oneIn(6) ? 'SESSION' : writeHeaderText(choices)
    return `${choices.pick(COOKIES)}${choices.oneIn(12) ? '' : '='}${choices.oneIn(10) ? `"${value}"` : value}`
  })
  return choices.oneIn(12) ? 'a=b; '.repeat(choices.below(1_500)) : cookies.join(choices.pick(['; ', ';', ',', ' ']))
}

function writeAuthorization(choices: Choices): string {
  return `${choices.pick(SCHEMES)} ${choices.oneIn(8) ? 'TOKEN' : writeHeaderText(choices)}`
}

function writeQuery(parameters: [string, string][]): string {
  return new URLSearchParams(parameters).toString()
}

function scramble(choices: Choices, text: string): string {
  const at = choices.below(text.length + 1)
  const piece = choices.pick(['%', '%zz', '%00', '&', '&&=', '=', '+', ';', '[]', '%ED%A0%80', '#', 'é', ''])
  return text.slice(0, at) + piece + text.slice(at + choices.below(3))
}
