// The direct route against the router. A path with a query string is the router's, so that each
// request can be sent both ways.
import { createServer, type IncomingMessage, type RequestListener, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import fc from 'fast-check'
import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { apiScopes, sessions, users } from '../../../src/db/tables.ts'
import { graphqlInputs } from '../../stress/fuzz/documents.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { generousLimits } from '../../support/generous-limits.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

type Received = { status: number | undefined; headers: NodeJS.Dict<string[]>; body: string }
type Sent = { headers?: Record<string, string | string[]>; body?: string | Buffer; isChunked?: boolean }

const LISTED = 'http://127.0.0.1:5173'
const CROSS_SITE = 'https://front-end.example'
const REQUEST_ID = 'the-same-id'
const ACCOUNTS = JSON.stringify({ query: '{ connectedAccounts { id provider username status connectedAt } }' })

let world: World
let person: Browser
let token: string
let direct: Awaited<ReturnType<typeof listenDirectly>>
beforeAll(async () => {
  world = await startWorld({
    ALLOWED_ORIGINS: `${LISTED},${CROSS_SITE}`,
    TRUSTED_PROXIES: '127.0.0.1',
    // The headers name the limit with less left, which is the same for both ways.
    RATE_LIMITS: `${generousLimits},total=2000000/60`,
  })
  person = await world.connected('maraholt')
  const [user] = await world.db().select().from(users).where(isPerson)
  const deps = { db: world.db(), clock: world.clock }
  token = (
    await createApiToken(
      deps,
      { userId: user?.id ?? '' },
      { name: 'a program', scopes: apiScopes, expiresInDays: null },
    )
  ).secret
  direct = await listenDirectly(openInstance(world))
})
afterAll(async () => {
  await direct.close()
  await world.close()
})

const session = () => ({ ...cookieOf(person), 'sec-fetch-site': 'same-origin' })
const ask = (query: string, variables?: unknown, more = {}) => JSON.stringify({ query, variables, ...more })

const common: [string, () => Sent][] = [
  ['a query with a cookie', () => ({ headers: session(), body: ACCOUNTS })],
  ['a query with an API token', () => ({ headers: bearer(token), body: ACCOUNTS })],
  ['a query of nobody', () => ({ body: ask('{ viewer { id } }') })],
  ['a query that needs a sign-in', () => ({ body: ACCOUNTS })],
  [
    'a query with variables',
    () => ({ headers: session(), body: ask('query($n: Int) { tweets(first: $n) { nodes { id } } }', { n: 3 }) }),
  ],
  [
    'variables that do not fit',
    () => ({ headers: session(), body: ask('query($n: Int) { tweets(first: $n) { nodes { id } } }', { n: 'x' }) }),
  ],
  ['a page that is too large', () => ({ headers: session(), body: ask('{ tweets(first: 1000) { nodes { id } } }') })],
  [
    'a document that is too complex',
    () => ({
      headers: session(),
      body: ask(
        '{ tweets(first: 100) { nodes { account { id } errors: id } } a: tweets(first: 100) { nodes { account { tokenHealth { events { type } } } } } }',
      ),
    }),
  ],
  [
    'a mutation with userErrors',
    () => ({
      headers: session(),
      body: ask(
        'mutation M { postTweet(input: { accountId: "none", text: "" }) { tweet { id } userErrors { code message field retry } } }',
      ),
    }),
  ],
  ['a syntax error', () => ({ headers: session(), body: ask('{ viewer { id ') })],
  ['a document that is not valid', () => ({ headers: session(), body: ask('{ viewer { nope } }') })],
  ['a document without access', () => ({ headers: bearer(token), body: ask('{ sessions { id } }') })],
  [
    'one of two operations',
    () => ({
      headers: session(),
      body: ask('query A { viewer { id } } query B { viewer { login } }', {}, { operationName: 'B' }),
    }),
  ],
  [
    'none of two operations',
    () => ({ headers: session(), body: ask('query A { viewer { id } } query B { viewer { login } }') }),
  ],
  [
    'an operation that is not there',
    () => ({ headers: session(), body: ask('query A { viewer { id } }', {}, { operationName: 'C' }) }),
  ],
  ['the introspection', () => ({ body: ask(getIntrospectionQuery()) })],
  [
    'the name __proto__',
    () => ({
      headers: session(),
      body: ask('{ __proto__: viewer { constructor: login } }', JSON.parse('{"__proto__":{"a":1}}')),
    }),
  ],
  [
    'a directive with a variable',
    () => ({
      headers: session(),
      body: ask('query($yes: Boolean!) { viewer { id @skip(if: $yes) login @include(if: $yes) } }', { yes: true }),
    }),
  ],
  [
    'a listed origin',
    () => ({ headers: { ...session(), 'sec-fetch-site': 'same-site', origin: LISTED }, body: ACCOUNTS }),
  ],
  ['a page of the gateway itself', () => ({ headers: { ...session(), origin: world.url }, body: ACCOUNTS })],
  [
    'a page of the gateway itself, without Sec-Fetch-Site',
    () => ({ headers: { ...cookieOf(person), origin: world.url }, body: ACCOUNTS }),
  ],
  ['a token from a listed origin', () => ({ headers: { ...bearer(token), origin: CROSS_SITE }, body: ACCOUNTS })],
  [
    'application/graphql-response+json',
    () => ({ headers: { ...session(), accept: 'application/graphql-response+json' }, body: ACCOUNTS }),
  ],
  [
    'several media types',
    () => ({
      headers: {
        ...session(),
        accept: 'application/graphql-response+json; charset=utf-8, application/json; charset=utf-8',
      },
      body: ACCOUNTS,
    }),
  ],
  [
    'media types in capitals',
    () => ({
      headers: { ...session(), accept: 'APPLICATION/JSON', 'content-type': 'Application/JSON; Charset=UTF-8' },
      body: ACCOUNTS,
    }),
  ],
  [
    'an error for application/graphql-response+json',
    () => ({ headers: { ...session(), accept: 'application/graphql-response+json' }, body: ask('{ nope }') }),
  ],
  [
    'a request id of the client',
    () => ({ headers: { ...session(), 'x-request-id': 'request-of-mine' }, body: ACCOUNTS }),
  ],
  [
    'a request id that is the name of a header',
    () => ({ headers: { ...session(), 'x-request-id': 'content-type' }, body: ACCOUNTS }),
  ],
  [
    'an address behind a proxy',
    () => ({ headers: { 'x-forwarded-for': '203.0.113.7' }, body: ask('{ viewer { id } }') }),
  ],
  [
    'letters outside of ASCII',
    () => ({ headers: session(), body: ask('query($t: String!) { linkedUser(login: $t) { id } }', { t: 'Zoë 🎈' }) }),
  ],
]

const uncommon: [string, () => Sent][] = [
  ['a cookie without an origin', () => ({ headers: cookieOf(person), body: ACCOUNTS })],
  [
    'the own origin from another site',
    () => ({ headers: { ...session(), 'sec-fetch-site': 'cross-site', origin: world.url }, body: ACCOUNTS }),
  ],
  ['another site', () => ({ headers: { ...session(), 'sec-fetch-site': 'cross-site' }, body: ACCOUNTS })],
  [
    'an origin that is not listed',
    () => ({ headers: { ...session(), origin: 'https://evil.example' }, body: ACCOUNTS }),
  ],
  [
    'nobody from another site',
    () => ({ headers: { 'sec-fetch-site': 'cross-site', origin: CROSS_SITE }, body: ACCOUNTS }),
  ],
  ['an invalid token', () => ({ headers: bearer('xcg_nope'), body: ACCOUNTS })],
  ['another scheme', () => ({ headers: { authorization: 'Basic YTpi' }, body: ACCOUNTS })],
  ['a token and a cookie', () => ({ headers: { ...session(), ...bearer('') }, body: ACCOUNTS })],
  ['another content type', () => ({ headers: { ...session(), 'content-type': 'text/plain' }, body: ACCOUNTS })],
  ['a content encoding', () => ({ headers: { ...session(), 'content-encoding': 'gzip' }, body: ACCOUNTS })],
  ['no JSON', () => ({ headers: session(), body: '{"query": ' })],
  ['no body', () => ({ headers: session(), body: '' })],
  ['a byte order mark', () => ({ headers: session(), body: `\ufeff${ACCOUNTS}` })],
  ...['[]', 'null', '1', '"a"', '{}', '{"query":1}', `[${ACCOUNTS}]`].map((body): [string, () => Sent] => [
    `the body ${body.slice(0, 20)}`,
    () => ({ headers: session(), body }),
  ]),
  ['a parameter that there is not', () => ({ headers: session(), body: ask('{ viewer { id } }', {}, { nope: 1 }) })],
  ['a token in the body', () => ({ headers: session(), body: ask('{ viewer { id } }', {}, { access_token: 'a' }) })],
  [
    'a persisted query',
    () => ({
      headers: session(),
      body: JSON.stringify({ extensions: { persistedQuery: { version: 1, sha256Hash: 'a' } } }),
    }),
  ],
  ['a document that is too long', () => ({ headers: session(), body: ask(`{ viewer { id } } #${'x'.repeat(8_000)}`) })],
  [
    'variables that are too deep',
    () => ({
      headers: session(),
      body: ask('{ viewer { id } }', JSON.parse(`${'{"a":'.repeat(12)}1${'}'.repeat(12)}`)),
    }),
  ],
  [
    'a subscription without a stream',
    () => ({ headers: { ...session(), accept: 'application/json' }, body: ask('subscription { events { id } }') }),
  ],
  ['a media type that there is not', () => ({ headers: { ...session(), accept: 'image/png' }, body: ACCOUNTS })],
  ['a body of nobody that is too large', () => ({ body: ask('{ viewer { id } }', { a: 'x'.repeat(100_000) }) })],
  ['a body in chunks', () => ({ headers: session(), body: ACCOUNTS, isChunked: true })],
  ['a header that is sent twice', () => ({ headers: { ...session(), 'x-tracing': ['one', 'two'] }, body: ACCOUNTS })],
]

test.each([...common, ...uncommon])('%s: the same status, headers and body both ways', async (_what, write) => {
  const sent = write()
  const [byRoute, byRouter] = [await send('/graphql', sent), await send('/graphql?', sent)]
  expect(byRoute).toEqual(byRouter)
})

test('the common requests take the direct route, and the others do not', async () => {
  const taken = async (write: () => Sent) => {
    const before = direct.routed()
    await send('/graphql', write(), direct.url)
    return direct.routed() === before
  }
  for (const [what, write] of common) expect([what, await taken(write)]).toEqual([what, true])
  for (const [what, write] of uncommon) expect([what, await taken(write)]).toEqual([what, false])
})

test('800 generated requests get the same status, headers and body both ways', { timeout: 600_000 }, async () => {
  const headers = { session, token: () => bearer(token), nobody: () => ({}) }
  let compared = 0
  const property = fc.asyncProperty(graphqlInputs, async ({ asker, accept, body }) => {
    // What changes rows has another result when it is sent again, and what changes with the time as
    // well; a stream does not end.
    if ((asker !== 'nobody' && body.includes('mutation')) || body.includes('subscription')) return
    if (/resetAt|remaining|lastUsedAt/.test(body)) return
    const sent = { headers: { ...headers[asker](), accept }, body }
    const [byRoute, byRouter] = [await send('/graphql', sent), await send('/graphql?', sent)]
    expect(byRoute).toEqual(byRouter)
    compared += 1
  })
  await fc.assert(property, { numRuns: 800 })
  expect(compared).toBeGreaterThan(300)
})

test('both ways log the same line', async () => {
  const lineOf = async (path: string, sent: Sent) => {
    const before = world.logs().length
    await send(path, sent)
    const lines = world
      .logs()
      .slice(before)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      // Work in the background may log lines of its own meanwhile.
      .filter(({ requestId }) => requestId === (sent.headers?.['x-request-id'] ?? REQUEST_ID))
    return lines.map(({ time, milliseconds, ...line }) => ({
      ...line,
      isTimed: Number.isInteger(milliseconds) && time !== '',
    }))
  }
  for (const [what, write] of common) {
    const [byRoute, byRouter] = [await lineOf('/graphql', write()), await lineOf('/graphql?', write())]
    expect([what, byRoute]).toEqual([what, byRouter])
    expect(byRoute).toHaveLength(1)
  }
})

test('a mutation that removes the cookie does so both ways', async () => {
  for (const path of ['/graphql', '/graphql?']) {
    const other = await world.signedIn('tomasz-k')
    const headers = { ...cookieOf(other), 'sec-fetch-site': 'same-origin' }
    const { status, headers: received } = await send(path, { headers, body: ask('mutation { signOut { signedOut } }') })
    expect([path, status, received['set-cookie']?.[0]]).toEqual([
      path,
      200,
      expect.stringMatching(/^xconnect_session=; /),
    ])
    expect((await send(path, { headers, body: ACCOUNTS })).status).toBe(401)
  }
})

test('a session that is renewed by a request renews its cookie, whichever way the request takes', async () => {
  const subscription = { body: ask('subscription { events { id } }'), headers: { accept: 'application/json' } }
  for (const [path, { body, headers = {} }] of [
    ['/graphql', { body: ACCOUNTS }],
    ['/graphql?', { body: ACCOUNTS }],
    ['/graphql', subscription],
  ] as [string, Sent][]) {
    const other = await world.signedIn('tomasz-k')
    await world
      .db()
      .update(sessions)
      .set({ expiresAt: new Date(Date.now() + 10 * 86_400_000) })
    const sent = { headers: { ...cookieOf(other), 'sec-fetch-site': 'same-origin', ...headers }, body }
    const { headers: received } = await send(path, sent)
    expect([path, received['set-cookie']?.length]).toEqual([path, 1])
    expect(received['set-cookie']?.[0]).toContain(cookieOf(other).cookie)
  }
})

test('a client that disconnects while it sends its body is logged, and the process goes on', async () => {
  const logged = world.logs().length
  for (const path of ['/graphql', '/graphql?']) {
    const { port } = new URL(world.url)
    const headers = { ...session(), 'content-type': 'application/json', 'content-length': '1000' }
    const sending = request({ port, path, method: 'POST', headers })
    sending.on('error', () => {})
    sending.write('{"query":')
    await expect.poll(() => sending.writableNeedDrain || sending.socket?.connecting === false).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 50))
    sending.destroy()
  }
  await expect
    .poll(
      () =>
        world
          .logs()
          .slice(logged)
          .match(/"status":400/g)?.length,
    )
    .toBe(2)
  expect((await send('/graphql', { headers: session(), body: ACCOUNTS })).status).toBe(200)
})

test('a client that disconnects while its session is looked up is let go, and logged', async () => {
  const instance = openInstance(world)
  const app = createApp(instance.deps)
  const respond = getRequestListener(app.fetch)
  const { promise: isHandled, resolve } = Promise.withResolvers<Promise<boolean>>()
  const server = await listen(async (incoming, outgoing) => {
    const handling = app.handleDirectly(incoming, outgoing)
    incoming.destroy()
    resolve(handling)
    if (!(await handling)) await respond(incoming, outgoing)
  })
  const headers = { ...session(), 'content-type': 'application/json', 'content-length': '1000' }
  const sending = request(server.url, { path: '/graphql', method: 'POST', headers })
  sending.on('error', () => {})
  sending.write('{"query":')
  expect(await isHandled).toBe(false)
  await app.settled()
  await expect.poll(() => instance.logs()).toContain('"status":400')
  await server.close()
  await instance.close()
})

test('made-up Accept headers take the direct route from no other client', async () => {
  for (let index = 0; index < 150; index += 1)
    await send('/graphql', { headers: { accept: `text/made-up-${index}, */*` }, body: ACCOUNTS }, direct.url)
  const before = direct.routed()
  for (const accept of ['*/*', 'application/json', 'application/json, application/xhtml+xml'])
    await send('/graphql', { headers: { ...session(), accept }, body: ACCOUNTS }, direct.url)
  expect(direct.routed()).toBe(before)
})

// A gateway on the same database whose requests are counted where they leave the direct route.
async function listenDirectly(instance: Instance) {
  let routed = 0
  const app = createApp(instance.deps)
  const server = await listen(async (incoming, outgoing) => {
    if (await app.handleDirectly(incoming, outgoing)) return
    routed += 1
    outgoing.end()
  })
  return {
    url: server.url,
    routed: () => routed,
    close: async () => {
      await server.close()
      await instance.close()
    },
  }
}

async function listen(respond: RequestListener) {
  const server = createServer(respond)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url: `http://127.0.0.1:${port}`, close }
}

// Sends exactly these headers, beside those without which HTTP does not work.
async function send(
  path: string,
  { headers = {}, body = '', isChunked = false }: Sent,
  url = world.url,
): Promise<Received> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const length = isChunked ? {} : { 'content-length': Buffer.byteLength(body) }
  const sending = request(
    {
      port: new URL(url).port,
      path,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': REQUEST_ID, ...headers, ...length },
    },
    resolve,
  )
  sending.on('error', reject)
  // Node sends a body that ends with its first part without chunks.
  if (isChunked) sending.write('')
  if (isChunked) sending.flushHeaders()
  sending.end(body)
  const response = await promise
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  const { date, ratelimit, ...others } = response.headersDistinct
  return {
    status: response.statusCode,
    // What remains of a limit is less for the second request.
    headers: { ...others, date: [String(date?.length)], ratelimit: [String(ratelimit?.[0]?.replaceAll(/\d+/g, 'n'))] },
    body: text.replaceAll(/"(remaining|resetInSeconds|resetAt)":("[^"]+"|[\d.]+)/g, '"$1":n'),
  }
}
