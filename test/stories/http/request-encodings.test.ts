// One request in all the forms in which ordinary clients send it.

import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, cacheExchange, fetchExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { errorExtensions } from '../../../src/http/error-response.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { readOperation } from '../../support/operations.ts'
import { ask, sendGraphql } from '../../support/raw-graphql.ts'

let world: World
let person: Browser
let accountId: string
let maxTweetLength: number
beforeAll(async () => {
  world = await startWorld()
  world.sandbox.control.setRateLimit('posts-per-day', 1_000)
  // An account with X Premium.
  person = await world.connected('tomasz_k', 'tomasz-k')
  const { connectedAccounts } = await person.api('connected-accounts')
  accountId = connectedAccounts[0]?.id ?? ''
  maxTweetLength = connectedAccounts[0]?.maxTweetLength ?? 0
})
afterAll(() => world.close())

const writeEscaped = (text: string, write: (hex: string) => string) =>
  text.replace(/./gs, (unit) => `\\u${write(unit.charCodeAt(0).toString(16).padStart(4, '0'))}`)

describe('the longest text that maxTweetLength allows is posted', () => {
  // Each with its weight in X's count, and the number that fits.
  const characters: [string, string, number][] = [
    ['Latin letters', 'é', 1],
    ['the last letter that counts 1', 'ჿ', 1],
    ['Han', '語', 2],
    ['letters beyond the BMP', '𐐷', 2],
    ['emoji', '😀', 2],
    ['the longest emoji', '👩🏻‍❤️‍💋‍👨🏼', 2],
  ]
  const encodings: [string, (text: string) => string][] = [
    ['unescaped', (text) => JSON.stringify(text).slice(1, -1)],
    ['with every character escaped', (text) => writeEscaped(text, (hex) => hex)],
    ['with every character escaped in capitals', (text) => writeEscaped(text, (hex) => hex.toUpperCase())],
  ]

  test.each(
    characters.flatMap(([what, character, weight]) =>
      encodings.map(([how, encode]) => ({ what, character, weight, how, encode })),
    ),
  )('$what, $how', async ({ character, weight, encode }) => {
    expect(maxTweetLength).toBe(25_000)
    world.sandbox.control.setRefusesDuplicates(false)
    const text = character.repeat(maxTweetLength / weight)
    const body = JSON.stringify({
      query: readOperation('post-tweet'),
      variables: { input: { text: '%text%', accountId } },
    }).replace('%text%', encode(text))
    const { status, response } = await sendGraphql(person, body)
    expect([status, response]).toMatchObject([
      200,
      { data: { postTweet: { tweet: { status: 'POSTED' }, userErrors: [] } } },
    ])
    expect(world.sandbox.control.tweets().some((tweet) => tweet.text === text)).toBe(true)
  })

  test('a longer text is refused with a message, at any length', async () => {
    for (const text of ['ჿ'.repeat(25_001), '👩🏻‍❤️‍💋‍👨🏼'.repeat(12_501), 'a.'.repeat(500_000)]) {
      const { response } = await sendGraphql(person, ask(readOperation('post-tweet'), { input: { text, accountId } }))
      expect(response).toMatchObject({
        data: { postTweet: { tweet: null, userErrors: [{ code: 'TEXT_TOO_LONG', field: ['input', 'text'] }] } },
      })
    }
  })

  test('without a viewer the limit on bodies stays small', async () => {
    const { status, response } = await sendGraphql(world.browser(), ask('{viewer{id}}').padEnd(100_001))
    expect([status, response.errors?.[0]?.message]).toEqual([
      413,
      'The body has more than 100,000 bytes. Send less in one request.',
    ])
  })
})

describe('media types are case-insensitive', () => {
  const post = (headers: Record<string, string>) =>
    person.request('/graphql', { method: 'POST', headers, body: ask('{viewer{login}}') })

  test.each([
    'application/json',
    'Application/JSON',
    'APPLICATION/JSON; CHARSET=UTF-8',
    'application/json ; charset=utf-8',
    'application/Json;charset="UTF-8"',
  ])('a query sent as %s', async (contentType) => {
    const response = await post({ 'content-type': contentType })
    expect([response.status, await response.json()]).toEqual([200, { data: { viewer: { login: 'tomasz-k' } } }])
  })

  test.each([
    ['Application/JSON', /^application\/json/],
    ['APPLICATION/GraphQL-Response+JSON', /^application\/graphql-response\+json/],
    ['Application/*', /^application\/(graphql-response\+)?json/],
  ])('a response requested as %s', async (accept, type) => {
    const response = await post({ 'content-type': 'application/json', accept })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, expect.stringMatching(type)])
    expect(await response.json()).toEqual({ data: { viewer: { login: 'tomasz-k' } } })
  })

  test('a stream requested as TEXT/Event-Stream', async () => {
    const response = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'TEXT/Event-Stream' },
      body: ask('subscription { events { cursor } }'),
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    await response.body?.cancel()
  })

  test('a page requested as Text/HTML', async () => {
    const response = await person.request('/graphql', { headers: { accept: 'Text/HTML' } })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=UTF-8'])
  })

  test('a form that revokes a token', async () => {
    const response = await person.request('/auth/token/revoke', {
      method: 'POST',
      headers: { 'content-type': 'Application/X-WWW-Form-URLEncoded' },
      body: 'token=xcg_unknown',
    })
    expect(response.status).toBe(200)
  })

  test('another media type is refused', async () => {
    for (const contentType of ['application/jsonx', 'text/json', 'application/json-patch+json', 'TEXT/PLAIN'])
      expect((await post({ 'content-type': contentType })).status, contentType).toBe(415)
  })
})

test('a compressed body is refused regardless of its content', async () => {
  const body = ask('{viewer{login}}')
  const send = (encoding: string) =>
    person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
      body,
    })
  for (const encoding of ['gzip', 'br', 'GZIP']) {
    const response = await send(encoding)
    expect([response.status, response.headers.get('accept-encoding')]).toEqual([415, 'identity'])
    expect(await response.json()).toEqual({
      errors: [
        {
          message: expect.stringContaining('without a Content-Encoding'),
          extensions: errorExtensions('UNSUPPORTED_MEDIA_TYPE'),
        },
      ],
    })
  }
  expect((await send('identity')).status).toBe(200)
})

describe('a hash without a document makes the client send the document', () => {
  const query = 'query Login { viewer { login } }'
  const extensions = { persistedQuery: { version: 1, sha256Hash: sha256(query) } }
  const refusal = {
    errors: [{ message: 'PersistedQueryNotSupported', extensions: errorExtensions('PERSISTED_QUERY_NOT_SUPPORTED') }],
  }

  test('by POST and by GET, signed in or not', async () => {
    for (const asking of [person, world.browser()]) {
      expect(await sendGraphql(asking, JSON.stringify({ operationName: 'Login', extensions }))).toMatchObject({
        status: 200,
        response: refusal,
      })
      const search = new URLSearchParams({ operationName: 'Login', extensions: JSON.stringify(extensions) })
      const response = await asking.request(`/graphql?${search}`, { headers: { accept: 'application/json' } })
      expect([response.status, await response.json()]).toEqual([200, refusal])
    }
  })

  test('with a document the hash is ignored and not stored', async () => {
    const { response } = await sendGraphql(person, JSON.stringify({ query, extensions }))
    expect(response).toEqual({ data: { viewer: { login: 'tomasz-k' } } })
    expect((await sendGraphql(person, JSON.stringify({ extensions }))).response).toEqual(refusal)
    // A GET with a document executes nothing, with any other parameters.
    const search = new URLSearchParams({ query, extensions: JSON.stringify(extensions) })
    expect((await person.request(`/graphql?${search}`)).status).toBe(405)
  })

  /** Sends the requests of a client from this browser. */
  function watch() {
    const seen: string[] = []
    const fetch = async (target: URL | RequestInfo, init: RequestInit = {}) => {
      const url = target instanceof Request ? target.url : String(target)
      const { method = 'GET', body } = init
      const headers = Object.fromEntries(new Headers(init.headers))
      const response = await person.request(url, { method, headers, ...(body != null && { body: String(body) }) })
      const sent = `${new URL(url).search}${body ?? ''}`
      const what = [sent.includes('viewer') && 'document', sent.includes('sha256Hash') && 'hash']
      seen.push(`${method} ${what.filter(Boolean).join(' and ')}: ${response.status}`)
      return new Response(await response.text(), { status: response.status, headers: [...response.headers] })
    }
    return { seen, fetch }
  }

  test.each([false, true])(
    'Apollo Client continues with the document, with GET for hashes %s',
    async (useGETForHashedQueries) => {
      const { seen, fetch } = watch()
      const client = new ApolloClient({
        link: ApolloLink.from([
          new PersistedQueryLink({ sha256, useGETForHashedQueries }),
          new HttpLink({ uri: `${world.url}/graphql`, fetch }),
        ]),
        cache: new InMemoryCache(),
      })
      const { data } = await client.query({ query: gql(query) })
      expect(data).toMatchObject({ viewer: { login: 'tomasz-k' } })
      expect(seen).toEqual([
        `${useGETForHashedQueries ? 'GET' : 'POST'} hash: 200`,
        expect.stringMatching(/^POST document( and hash)?: 200$/),
      ])
    },
  )

  test('urql continues with the document', async () => {
    const { seen, fetch } = watch()
    const client = new Client({
      url: `${world.url}/graphql`,
      exchanges: [cacheExchange, persistedExchange({ preferGetForPersistedQueries: false }), fetchExchange],
      preferGetMethod: false,
      fetch,
    })
    const { data, error } = await client.query(query, {}).toPromise()
    expect([data?.viewer, error]).toMatchObject([{ login: 'tomasz-k' }, undefined])
    expect(seen).toEqual(['POST hash: 200', 'POST document: 200'])
  })
})
