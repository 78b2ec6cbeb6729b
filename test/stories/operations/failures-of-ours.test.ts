import { sql } from 'drizzle-orm'
import { GraphQLError } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { schema } from '../../../src/graphql/schema.ts'
import { errorExtensions } from '../../../src/http/error-response.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask, sendGraphql } from '../../support/raw-graphql.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

/** Runs `work` while a table has another name. */
async function withoutTable(table: string, work: () => Promise<void>): Promise<void> {
  const rename = (from: string, to: string) =>
    world.db().execute(sql`alter table ${sql.identifier(from)} rename to ${sql.identifier(to)}`)
  await rename(table, 'mislaid')
  try {
    await work()
  } finally {
    await rename('mislaid', table)
  }
}

// Fragments of the database, the code and the drivers.
const INNARDS =
  /mislaid|relation|connect_attempts|sign_in_attempts|connected_accounts|select|insert|query|node_modules|\.ts\b|at \w+ \(|drizzle|postgres|42P01/i

test('G-09 an unexpected error in a resolver is INTERNAL with the request’s id, under which the log has the details', async () => {
  await withoutTable('connected_accounts', async () => {
    const response = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'story-12345' },
      body: '{"query":"{ viewer { login } connectedAccounts { id } }"}',
    })
    const text = await response.text()
    expect(response.status).toBe(200)
    expect(JSON.parse(text)).toEqual({
      data: null,
      errors: [
        {
          message: 'The gateway failed. Try again; if the error persists, report the request id to the operator.',
          path: ['connectedAccounts'],
          locations: [{ line: 1, column: 20 }],
          extensions: errorExtensions('INTERNAL', { requestId: 'story-12345' }),
        },
      ],
    })
    expect(text.replaceAll('connectedAccounts', '')).not.toMatch(INNARDS)
  })
  const line = world
    .logs()
    .split('\n')
    .find((entry) => entry.includes('story-12345') && entry.includes('"level":"error"'))
  expect(line).toContain('42P01')
})

test('an unexpected error in a mutation is not a userError', async () => {
  await withoutTable('connect_attempts', async () => {
    await expect(person.startXConnect()).rejects.toThrow('The gateway failed')
  })
})

test('an unexpected error in the second of two posts leaves the first one in the response, posted', async () => {
  const poster = await world.connected('maraholt')
  await world.db().execute(sql`alter table tweets add constraint broken check (text <> 'The second')`)
  try {
    const document = `mutation {
      first: postTweet(input: {text: "The first"}) { tweet { status } userErrors { code } }
      second: postTweet(input: {text: "The second"}) { tweet { status } userErrors { code } }
    }`
    const { status, response } = await sendGraphql(poster, ask(document))
    expect([status, response.data]).toEqual([
      200,
      { first: { tweet: { status: 'POSTED' }, userErrors: [] }, second: null },
    ])
    expect(response.errors).toMatchObject([{ path: ['second'], extensions: { code: 'INTERNAL' } }])
  } finally {
    await world.db().execute(sql`alter table tweets drop constraint broken`)
  }
  expect(world.sandbox.control.tweets('maraholt').map(({ text }) => text)).toEqual(['The first'])
})

// What has no form of a state is not looked up.
const STATE = 'x'.repeat(43)
const CONNECT_STATE = `00000000-0000-4000-8000-000000000000.${STATE}`

test.each([
  ['/auth/github', 'sign_in_attempts'],
  ['/auth/x', 'connect_attempts'],
  [`/auth/x/callback?state=${CONNECT_STATE}&code=y`, 'connect_attempts'],
  [`/auth/x/callback?state=${STATE}&code=y`, 'secret_owners'],
  [`/auth/github/callback?state=${STATE}&code=y`, 'sign_in_attempts'],
])('what breaks in %s is a 500 that tells nothing but the request’s id', async (path, table) => {
  await withoutTable(table, async () => {
    const response = await person.request(path)
    const text = await response.text()
    expect(response.status).toBe(500)
    expect(JSON.parse(text)).toEqual({
      errors: [
        {
          message: 'The gateway failed. Try again; if the error persists, report the request id to the operator.',
          extensions: errorExtensions('INTERNAL', { requestId: response.headers.get('x-request-id') }),
        },
      ],
    })
    expect(text).not.toMatch(INNARDS)
    expect([response.headers.get('cache-control'), response.headers.get('x-content-type-options')]).toEqual([
      'no-store',
      'nosniff',
    ])
  })
})

test('a session that cannot be looked up is neither reported as signed out nor ended', async () => {
  // Otherwise the gateway would not look it up.
  world.advance(10)
  await withoutTable('sessions', async () => {
    const response = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{viewer{id}}"}',
    })
    expect([response.status, response.headers.getSetCookie()]).toEqual([500, []])
    expect(await response.text()).not.toMatch(INNARDS)
    expect((await person.request('/healthz')).status).toBe(200)
  })
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})

const ofDatabase = Object.assign(new Error('Failed query: select pw=hunter2'), { code: '42P01' })

test.each<[what: string, thrown: unknown]>([
  ['an error', new Error('pw=hunter2')],
  ['an error with a cause', new Error('pw=hunter2', { cause: ofDatabase })],
  ['several errors', new AggregateError([new Error('pw=hunter2'), ofDatabase], 'pw=hunter2')],
  ['an error of the database', ofDatabase],
  ['an error of the database inside one of GraphQL', new GraphQLError('pw=hunter2', { originalError: ofDatabase })],
  ['a text', 'pw=hunter2'],
  ['an object', { message: 'pw=hunter2', stack: 'pw=hunter2' }],
  ['nothing', undefined],
])('G-09 a resolver that throws %s reveals nothing of it', async (_what, thrown) => {
  const field = schema.getQueryType()?.getFields().viewer
  if (field === undefined) throw new Error('There is no field to break')
  const { resolve } = field
  field.resolve = () => {
    throw thrown
  }
  // Development shows no more than production.
  const { NODE_ENV } = process.env
  process.env.NODE_ENV = 'development'
  try {
    const { status, text, response } = await sendGraphql(person, ask('{viewer{id}}'))
    expect([status, response.errors?.[0]?.extensions?.code]).toEqual([200, 'INTERNAL'])
    expect(text).not.toMatch(/hunter2|stack|42P01/)
  } finally {
    field.resolve = resolve
    process.env.NODE_ENV = NODE_ENV
  }
})
