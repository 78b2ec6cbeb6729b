// Every combination of origin headers, methods and content types, once with a cookie and once with
// an API token.
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { connectedAccounts, tweets, users } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'

const OWN = 'own'
const sites = ['same-origin', 'same-site', 'cross-site', 'none', null]
const origins = [OWN, 'https://evil.example', 'null', null]
const methods = ['GET', 'POST'] as const
const contentTypes = [
  'application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'application/graphql',
  'x/y',
  'application/',
  null,
]
const askers = ['cookie', 'token'] as const
type Cell = {
  site: string | null
  origin: string | null
  method: (typeof methods)[number]
  contentType: string | null
}
const cells: Cell[] = sites.flatMap((site) =>
  origins.flatMap((origin) =>
    methods.flatMap((method) => contentTypes.map((contentType) => ({ site, origin, method, contentType }))),
  ),
)

/** The rule, independent of the gateway's code. */
function expected({ site, origin, method, contentType }: Cell, by: (typeof askers)[number]): number {
  if (method === 'GET') return 405
  const isOurPage = site === 'same-origin' || (site === null && origin === OWN)
  if (by === 'cookie' && !isOurPage) return 403
  return contentType === 'application/json' ? 200 : 415
}

let world: World
let headersOf: Record<'cookie' | 'token', Record<string, string>>
let accountId: string
const agent = new Agent()
beforeAll(async () => {
  world = await startWorld()
  const person = await world.connected('maraholt')
  const [user] = await world.db().select().from(users).where(isPerson)
  const [account] = await world.db().select().from(connectedAccounts)
  accountId = account?.id ?? ''
  const made = await createApiToken(
    { db: world.db(), clock: world.clock },
    { userId: user?.id ?? '' },
    { name: 'a bot', scopes: ['tweets:write'], expiresInDays: null },
  )
  headersOf = {
    cookie: cookieOf(person),
    token: bearer(made.secret),
  }
})
afterAll(async () => {
  await agent.close()
  await world.close()
})

// The mutation in each kind of body, as a server that parses all of them would read it.
function write(contentType: string | null, query: string, variables: unknown): string {
  const json = JSON.stringify({ query, variables })
  if (contentType === 'application/graphql') return query
  if (contentType?.startsWith('application/x-www')) return `${asQuery(query, variables)}`
  if (!contentType?.startsWith('multipart')) return json
  const part = (name: string, value: string) =>
    `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  return `${part('operations', json)}${part('map', '{}')}--x--\r\n`
}

const asQuery = (query: string, variables: unknown) =>
  new URLSearchParams({ query, variables: JSON.stringify(variables) })

// undici's request adds no header of its own, as its fetch would.
async function send(
  { site, origin, method, contentType }: Cell,
  headers: Record<string, string>,
  text: string,
  path = '/graphql',
) {
  const query = readOperation('post-tweet')
  const variables = { input: { text, accountId } }
  const search = method === 'GET' ? `?${asQuery(query, variables)}` : ''
  const response = await request(`${world.url}${path}${search}`, {
    method,
    dispatcher: agent,
    headers: {
      ...headers,
      ...(site !== null && { 'sec-fetch-site': site }),
      ...(origin !== null && { origin: origin === OWN ? world.url : origin }),
      ...(contentType !== null && { 'content-type': contentType }),
    },
    body: method === 'GET' ? null : Buffer.from(write(contentType, query, variables)),
  })
  return { status: response.statusCode, headers: response.headers, body: await response.body.text() }
}

// A path with a query string is the router's; the other one takes the direct route.
const ways = askers.flatMap((by) => ['/graphql', '/graphql?'].map((path) => ({ by, path })))

describe.each(ways)('C-01 C-02 C-03 with a $by at $path', ({ by, path }) => {
  test('each of 320 combinations is accepted or refused as specified', async () => {
    expect(cells).toHaveLength(320)
    let acted = 0
    for (const [index, cell] of cells.entries()) {
      const before = await countEffects()
      const { status, headers, body } = await send(cell, headersOf[by], `${by} ${index} ${path}`, path)
      const seen = `${JSON.stringify(cell)} → ${body}`
      expect(status, seen).toBe(expected(cell, by))
      const effect = status === 200 ? 1 : 0
      expect(await countEffects(), seen).toEqual(before.map((count) => count + effect))
      if (status === 200) expect(body, seen).toContain('"status":"POSTED"')
      expect(headers['access-control-allow-origin'], seen).toBeUndefined()
      acted += effect
    }
    // A cookie from the gateway's own pages alone: four origins beside same-origin, and its own
    // origin without Sec-Fetch-Site. A token from anywhere.
    expect(acted).toBe(by === 'cookie' ? 5 : 20)
  })
})

test('C-01 a request with neither cookie nor token needs no Origin', async () => {
  const cell: Cell = { site: null, origin: null, method: 'POST', contentType: 'application/json' }
  const { status, body } = await send(cell, {}, 'by nobody')
  expect([status, JSON.parse(body).errors[0].extensions.code]).toEqual([401, 'UNAUTHENTICATED'])
  expect((await send({ ...cell, site: 'cross-site' }, {}, 'by nobody')).status).toBe(403)
  expect((await send(cell, headersOf.cookie, 'without a page')).body).toContain('must say which page it comes from')
})

/** Returns the number of stored tweets, and of posts that X has received. */
async function countEffects(): Promise<number[]> {
  return [await world.db().$count(tweets), world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })]
}
