// Front ends on other origins: the requests that their browsers may send, and the messages to them
// and to the operator about configurations that cannot work.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask, sendGraphql } from '../../support/raw-graphql.ts'

const SAME_SITE = 'http://127.0.0.1:5173'
const OTHER_NAME = 'http://localhost:5173'
const OTHER_DOMAIN = 'https://app.example'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld({ ALLOWED_ORIGINS: [SAME_SITE, OTHER_NAME, OTHER_DOMAIN].join() })
  person = await world.signedIn()
})
afterAll(() => world.close())

type Line = Record<string, unknown> & { level: string; msg: string }

function warnings(beginning: string): Line[] {
  const all = world.logs().trimEnd().split('\n')
  return all
    .map((line) => JSON.parse(line) as Line)
    .filter(({ level, msg }) => level === 'warn' && msg.startsWith(beginning))
}

describe('an origin on another site than PUBLIC_URL', () => {
  test('is logged at startup with the remedy; one on the same site is not', () => {
    const told = warnings('An origin in ALLOWED_ORIGINS is on another site than PUBLIC_URL')
    expect(told).toMatchObject([
      {
        origin: OTHER_NAME,
        publicUrl: world.url,
        cure: expect.stringContaining('Open the front end at http://127.0.0.1:5173'),
      },
      { origin: OTHER_DOMAIN, publicUrl: world.url, cure: expect.stringContaining('Serve both under one domain') },
    ])
  })

  // A browser sends no cookie from another site, even after the user has signed in.
  const send = (origin: string, headers: Record<string, string> = {}) =>
    sendGraphql(world.browser(), ask('{ viewer { login } }'), { origin, 'sec-fetch-site': 'cross-site', ...headers })

  test.each([OTHER_NAME, OTHER_DOMAIN])('gets the code CROSS_SITE_ORIGIN when %s has no session', async (origin) => {
    const { status, response } = await send(origin)
    expect([status, response.errors?.map(({ extensions }) => extensions?.code)]).toEqual([401, ['CROSS_SITE_ORIGIN']])
    expect(response.errors?.[0]?.message).toContain('signing in again does not help')
  })

  test('can read that response', async () => {
    const response = await world.browser().request('/graphql', {
      method: 'POST',
      headers: { origin: OTHER_NAME, 'content-type': 'application/json' },
      body: ask('{ viewer { login } }'),
    })
    expect(response.headers.get('access-control-allow-origin')).toBe(OTHER_NAME)
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="xconnect"')
  })

  test('is served with an API token, and with a session cookie if the browser sends one', async () => {
    const { createApiToken } = await person.api('create-api-token', {
      input: { name: 'a front end', scopes: ['accounts:read'] },
    })
    const authorization = `Bearer ${createApiToken.secret}`
    expect((await send(OTHER_DOMAIN, { authorization })).response).toEqual({ data: { viewer: { login: 'mara-holt' } } })
    const { response } = await sendGraphql(person, ask('{ viewer { login } }'), { origin: OTHER_DOMAIN })
    expect(response).toEqual({ data: { viewer: { login: 'mara-holt' } } })
  })

  test('does not get this code on the same site without a session', async () => {
    const { status, response } = await sendGraphql(world.browser(), ask('{ connectedAccounts { id } }'), {
      origin: SAME_SITE,
      'sec-fetch-site': 'same-site',
    })
    expect([status, response.errors?.map(({ extensions }) => extensions?.code)]).toEqual([401, ['UNAUTHENTICATED']])
  })
})

describe('a preflight', () => {
  const preflight = (origin: string, headers: string, method = 'POST') =>
    world.browser().request('/graphql', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
    })

  test.each([
    ['OpenTelemetry', 'baggage,content-type,traceparent,tracestate'],
    ['Sentry', 'baggage,content-type,sentry-trace'],
    ['Datadog', 'content-type,traceparent,tracestate,x-datadog-origin,x-datadog-parent-id,x-datadog-trace-id'],
    ['Apollo Client', 'apollographql-client-name,apollographql-client-version,content-type'],
    ['a client with CSRF prevention', 'apollo-require-preflight,content-type'],
    ['a client that sends request ids', 'authorization,content-type,x-request-id'],
  ])('of a listed origin allows what %s adds', async (_who, headers) => {
    const response = await preflight(SAME_SITE, headers)
    const allowed = response.headers.get('access-control-allow-headers')?.split(', ')
    for (const name of headers.split(',')) expect(allowed).toContain(name)
    expect(warnings('A page of a listed origin requested').filter(({ origin }) => origin === SAME_SITE)).toEqual([])
  })

  test('that the browser treats as refused is logged with the origin and the header', async () => {
    for (let times = 0; times < 3; times += 1) await preflight(OTHER_DOMAIN, 'Content-Type, X-Own, x-other')
    await preflight(OTHER_DOMAIN, 'content-type', 'PUT')
    expect(warnings('A page of a listed origin requested')).toMatchObject([
      { origin: OTHER_DOMAIN, method: 'POST', headers: 'x-own, x-other', path: '/graphql' },
      { origin: OTHER_DOMAIN, method: 'PUT', headers: '', path: '/graphql' },
    ])
  })

  test('of an origin that is not listed is logged, and so is its request, at most twenty times', async () => {
    const { status } = await preflight('https://forgotten.example', 'content-type')
    expect(status).toBe(403)
    await sendGraphql(world.browser(), ask('{ viewer { login } }'), {
      origin: 'https://with-a-token.example',
      authorization: 'Bearer xcg_unknown',
    })
    const lines = () => warnings('A page of an origin that is not in ALLOWED_ORIGINS sent a request')
    expect(lines()).toMatchObject([
      { origin: 'https://forgotten.example', method: 'OPTIONS', path: '/graphql' },
      { origin: 'https://with-a-token.example', method: 'POST', path: '/graphql' },
    ])
    for (let number = 0; number < 100; number += 1)
      await preflight(`https://${number}.${'x'.repeat(4_000)}.example`, 'content-type')
    expect(lines()).toHaveLength(20)
    expect(JSON.stringify(lines()).length).toBeLessThan(20 * 1_000)
  })

  test('and nothing is logged for the gateway’s own pages', async () => {
    const before = world.logs().length
    await sendGraphql(person, ask('{ viewer { login } }'), { origin: world.url, 'sec-fetch-site': 'same-origin' })
    await person.request('/auth/sign-out', {
      method: 'POST',
      headers: { origin: 'null', 'sec-fetch-site': 'same-origin' },
    })
    expect(world.logs().slice(before)).not.toContain('"level":"warn"')
  })
})

describe('a peer that sends X-Forwarded-For', () => {
  const told = () => warnings('A peer that is not in TRUSTED_PROXIES')
  const visit = (headers: Record<string, string>) => world.browser().request('/healthz', { headers })

  test('is logged once if it is not in TRUSTED_PROXIES', async () => {
    expect(told()).toEqual([])
    for (let visitor = 1; visitor <= 30; visitor += 1) await visit({ 'x-forwarded-for': `203.0.113.${visitor}` })
    await visit({ forwarded: 'for=203.0.113.7', 'x-real-ip': '203.0.113.7' })
    expect(told()).toMatchObject([{ peer: '127.0.0.1', headers: ['x-forwarded-for'] }])
  })

  test('is not logged if it is listed', async () => {
    const listed = await startWorld({ TRUSTED_PROXIES: '127.0.0.0/8' })
    try {
      await listed.browser().request('/healthz', { headers: { 'x-forwarded-for': '203.0.113.7' } })
      expect(listed.logs()).not.toContain('TRUSTED_PROXIES')
    } finally {
      await listed.close()
    }
  })
})
