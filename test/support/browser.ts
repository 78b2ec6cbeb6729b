// A browser without a user interface: it keeps cookies, follows redirects one at a time, and calls
// the API through graphql-request.
import { GraphQLClient } from 'graphql-request'
// With its own fetch and dispatcher: the gateway under test replaces the global dispatcher with one
// that follows no redirects.
import { Agent, fetch, type RequestInit, type Response } from 'undici'
import type { PostTweetMutation } from '../../src/console/operation-types.ts'
import { type OperationData, readOperation } from './operations.ts'

export type Browser = ReturnType<typeof openBrowser>

export type UserError = NonNullable<PostTweetMutation['postTweet']>['userErrors'][number]

/** One recorded response of the gateway. */
export type ReceivedResponse = { headers: [string, string][]; body: string }

/** The URL that a callback redirected to, and the outcome in its query. */
export type Arrival = { url: URL; outcome: string | null; code: string | null; attempt: string | null }

/** Returns the Cookie header of this browser. */
export function cookieOf(person: { cookies: Map<string, string> }): { cookie: string } {
  return { cookie: [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
}

/** Returns the session token in this browser's cookie; empty when there is none. */
export function sessionTokenOf(person: { cookies: Map<string, string> }): string {
  return person.cookies.get('xconnect_session') ?? ''
}

/** Returns whether this browser has a valid session. */
export async function isSignedIn(person: Browser): Promise<boolean> {
  return (await person.query<{ viewer: object | null }>('{ viewer { id } }')).viewer !== null
}

/**
 * Opens a browser without cookies.
 * @param userAgent its User-Agent header.
 * @param agent its connections, for a certificate that Node does not trust.
 */
export function openBrowser(gatewayUrl: string, userAgent = 'story', agent = new Agent()) {
  const cookies = new Map<string, string>()
  let responses: ReceivedResponse[] | null = null
  const isOurs = (url: string) => new URL(url).origin === new URL(gatewayUrl).origin

  async function request(target: string, init: RequestInit = {}): Promise<Response> {
    const url = new URL(target, gatewayUrl).href
    const headers = new Headers(init.headers as HeadersInit)
    if (!headers.has('user-agent')) headers.set('user-agent', userAgent)
    if (isOurs(url) && cookies.size > 0 && !headers.has('cookie')) {
      headers.set('cookie', cookieOf({ cookies }).cookie)
    }
    // The gateway's own pages send this header; a story may set another.
    const isRead = (init.method ?? 'GET') === 'GET' || init.method === 'HEAD'
    const saysFrom = headers.has('sec-fetch-site') || headers.has('origin')
    if (isOurs(url) && !isRead && !saysFrom) headers.set('sec-fetch-site', 'same-origin')
    const response = await fetch(url, { ...init, headers: [...headers], redirect: 'manual', dispatcher: agent })
    if (isOurs(url)) for (const header of response.headers.getSetCookie()) keep(header)
    if (isOurs(url)) responses?.push({ headers: [...response.headers], body: await response.clone().text() })
    return response
  }

  function keep(header: string): void {
    const [pair = '', ...attributes] = header.split(';')
    const [name = '', value = ''] = pair.split('=')
    const isGone = attributes.some((attribute) => /^\s*max-age=0$/i.test(attribute)) || value === ''
    if (isGone) cookies.delete(name)
    else cookies.set(name, value)
  }

  /** Records every response of the gateway from now on, and returns the list of them. */
  function keepResponses(): ReceivedResponse[] {
    responses ??= []
    return responses
  }

  /** Sends a published operation. A type of its own is for tests that read a part of the response. */
  function api<File extends string>(file: File, variables?: Record<string, unknown>): Promise<OperationData<File>>
  function api<T>(file: string, variables?: Record<string, unknown>): Promise<T>
  async function api(file: string, variables: Record<string, unknown> = {}): Promise<unknown> {
    return query(readOperation(file), variables)
  }

  const client = new GraphQLClient(new URL('/graphql', gatewayUrl).href, {
    fetch: ((url: string, init: RequestInit) => request(url, init)) as unknown as typeof globalThis.fetch,
  })
  async function query<T>(document: string, variables: Record<string, unknown> = {}): Promise<T> {
    return client.request<T>(document, variables)
  }

  /**
   * Submits a provider's consent page. Returns the callback URL that it redirects to, unvisited.
   */
  async function consent(
    authorizationUrl: string,
    account: string,
    decision: 'approve' | 'deny' = 'approve',
  ): Promise<string> {
    const response = await request(authorizationUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ account, decision }).toString(),
    })
    const location = response.headers.get('location')
    if (location === null)
      throw new Error(`The provider did not send the browser back: ${response.status} ${await response.text()}`)
    return location
  }

  async function finish(callbackUrl: string): Promise<Arrival> {
    const response = await request(callbackUrl)
    const url = new URL(response.headers.get('location') ?? '', gatewayUrl)
    if (response.status !== 303) throw new Error(`The callback responded with ${response.status}`)
    const get = (name: string) => url.searchParams.get(name)
    return { url, outcome: get('xConnect') ?? get('signIn'), code: get('code'), attempt: get('attempt') }
  }

  async function signIn(login: string): Promise<Arrival> {
    const start = await request('/auth/github')
    return finish(await consent(start.headers.get('location') ?? '', login))
  }

  async function startXConnect(input?: Record<string, unknown>) {
    const { startXConnect } = await api('start-x-connect', input === undefined ? {} : { input })
    return startXConnect
  }

  async function connect(username: string, input?: Record<string, unknown>): Promise<Arrival> {
    const { authorizationUrl, userErrors } = await startXConnect(input)
    if (authorizationUrl === null) throw new Error(`startXConnect refused: ${userErrors[0]?.code}`)
    return finish(await consent(authorizationUrl, username))
  }

  return {
    cookies,
    keepResponses,
    request,
    api,
    query,
    consent,
    finish,
    signIn,
    startXConnect,
    connect,
    close: () => agent.close(),
  }
}
