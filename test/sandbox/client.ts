import { createHash, randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts'

/** A client of the sandbox that follows the two providers' documents alone. */
export const X_CALLBACK = 'http://127.0.0.1:3000/auth/x/callback'
export const GITHUB_CALLBACK = 'http://127.0.0.1:3000/auth/github/callback'
export const X_SECRET = 's€c:ret%+ 1'
export const ALL_SCOPES = 'tweet.read tweet.write users.read offline.access'

export const OPTIONS: SandboxOptions = {
  xClient: { id: 'x-client', secret: X_SECRET, redirectUris: [X_CALLBACK] },
  githubClient: { id: 'github-client', secret: 'github-secret', redirectUris: [GITHUB_CALLBACK] },
}

export type ReceivedResponse = { status: number; headers: Headers; body: Record<string, unknown>; text: string }
export type Tokens = { access: string; refresh: string; scope: string }

export async function openSandbox(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ ...OPTIONS, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

export function newPkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(96).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** Returns the authorize URL, without the parameters that are null. */
export function authorizeUrl(sandbox: Sandbox, challenge: string, changes: Record<string, string | null> = {}): URL {
  const parameters = {
    response_type: 'code',
    client_id: 'x-client',
    redirect_uri: X_CALLBACK,
    scope: ALL_SCOPES,
    state: 'state-1',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  }
  const url = new URL('/i/oauth2/authorize', sandbox.url)
  for (const [name, value] of Object.entries(parameters)) if (value !== null) url.searchParams.set(name, value)
  return url
}

/** Posts the consent form. Returns the query of the redirect. */
export async function decide(url: URL, form: Record<string, string>): Promise<URLSearchParams> {
  const response = await fetch(url, { method: 'POST', redirect: 'manual', body: new URLSearchParams(form) })
  const location = response.headers.get('location')
  if (response.status !== 302 || location === null) throw new Error(`${response.status}: ${await response.text()}`)
  return new URL(location).searchParams
}

export async function consent(sandbox: Sandbox, account = 'maraholt', scope = ALL_SCOPES) {
  const { verifier, challenge } = newPkce()
  const returned = await decide(authorizeUrl(sandbox, challenge, { scope }), { account, decision: 'approve' })
  return { code: returned.get('code') ?? '', verifier }
}

export function basic(id = 'x-client', secret = X_SECRET): string {
  // RFC 6749, section 2.3.1, with the form encoding of URLSearchParams.
  const encode = (text: string) => new URLSearchParams({ v: text }).toString().slice(2)
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}

export async function callToken(
  sandbox: Sandbox,
  fields: Record<string, string>,
  headers: Record<string, string> = { authorization: basic() },
): Promise<ReceivedResponse> {
  return read(
    await fetch(`${sandbox.url}/2/oauth2/token`, { method: 'POST', headers, body: new URLSearchParams(fields) }),
  )
}

export async function exchange(sandbox: Sandbox, code: string, verifier: string): Promise<ReceivedResponse> {
  return callToken(sandbox, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: X_CALLBACK,
    code_verifier: verifier,
  })
}

export async function connectAccount(sandbox: Sandbox, account = 'maraholt', scope = ALL_SCOPES): Promise<Tokens> {
  const { code, verifier } = await consent(sandbox, account, scope)
  return tokensOf(await exchange(sandbox, code, verifier))
}

export function refresh(sandbox: Sandbox, refreshToken: string): Promise<ReceivedResponse> {
  return callToken(sandbox, { grant_type: 'refresh_token', refresh_token: refreshToken })
}

export function tokensOf({ body }: ReceivedResponse): Tokens {
  return { access: String(body.access_token), refresh: String(body.refresh_token), scope: String(body.scope) }
}

/** Calls X's API. */
export async function call(
  sandbox: Sandbox,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<ReceivedResponse> {
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) }
  return read(await fetch(sandbox.url + path, init))
}

export function post(
  sandbox: Sandbox,
  token: string,
  text: string,
  more: Record<string, unknown> = {},
): Promise<ReceivedResponse> {
  return call(sandbox, token, 'POST', '/2/tweets', { text, ...more })
}

export async function read(response: Response): Promise<ReceivedResponse> {
  const text = await response.text()
  const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : {} }
}

/** Returns the status and the two fields of an OAuth error. */
export function oauthError({ status, body }: ReceivedResponse): unknown[] {
  return [status, body.error, body.error_description]
}

/** Returns a value inside a response, by its keys. */
export function at(value: unknown, ...keys: (string | number)[]): unknown {
  let inner = value
  for (const key of keys) inner = typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined
  return inner
}
