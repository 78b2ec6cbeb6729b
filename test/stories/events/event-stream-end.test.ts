// The end of an event stream, and how the next one continues.
import { createClient as createUrqlClient, fetchExchange, gql } from '@urql/core'
import { createClient as createSseClient } from 'graphql-sse'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { newPerson, readPage } from '../../support/event-reader.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { record } from '../../support/recorded-events.ts'

const QUERY = 'subscription ($after: String) { events(after: $after) { cursor node { type } } }'

let world: World
beforeAll(async () => {
  world = await startWorld({}, { streamRecheckSeconds: 600, streamLifetimeSeconds: 2 })
})
afterAll(() => world.close())

test('after its lifetime a stream sends STREAM_ENDED and completes; a new stream continues after its last event', async () => {
  const account = await connectAccount(world, { person: await newPerson(world) })
  const { pageInfo } = await readPage(account.person, { last: 1 })
  const first = await openStream(world.url, cookieOf(account.person), { after: pageInfo.endCursor })
  await account.post()
  expect(await first.ended).toEqual({ completed: true, codes: ['STREAM_ENDED'] })
  expect(first.messages).toEqual([expect.stringContaining('open it again after the last cursor that you received')])
  await account.disconnect()
  const second = await openStream(world.url, cookieOf(account.person), { after: first.cursor() })
  expect(await second.ended).toEqual({ completed: true, codes: ['STREAM_ENDED'] })
  expect([first.types(), second.types()]).toEqual([['TWEET_POSTED'], ['ACCOUNT_DISCONNECTED']])
  expect(world.logs()).not.toMatch(/"level":(?:50|60)/)
})

test.each(['graphql-sse', 'urql'])('%s reports the end of the stream as an error', async (name) => {
  const person = await newPerson(world)
  const headers = { ...cookieOf(person), 'sec-fetch-site': 'same-origin' }
  const url = `${world.url}/graphql`
  const codes = await new Promise<unknown[]>((resolve) => {
    const seen: unknown[] = []
    if (name === 'graphql-sse') {
      createSseClient({ url, headers, retryAttempts: 0 }).subscribe(
        { query: QUERY },
        {
          next: ({ errors }) => seen.push(...(errors ?? []).map(({ extensions }) => extensions.code)),
          error: (error) => resolve([...seen, error]),
          complete: () => resolve(seen),
        },
      )
    } else {
      const options = { url, fetchOptions: { headers }, exchanges: [fetchExchange], fetchSubscriptions: true }
      createUrqlClient({ ...options, preferGetMethod: false })
        .subscription(gql(QUERY), {})
        .subscribe(({ error, hasNext }) => {
          if (!hasNext) resolve((error?.graphQLErrors ?? []).map(({ extensions }) => extensions.code))
        })
    }
  })
  expect(codes).toEqual(['STREAM_ENDED'])
})

test('an empty list has a cursor, and no event after it is missed', async () => {
  const { secret } = await createApiToken(
    { db: world.db(), clock: world.clock },
    { userId: OPERATOR_ID },
    { name: 'operator', scopes: ['events:read'], expiresInDays: null },
  )
  const headers = { authorization: `Bearer ${secret}` }
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ events(last: 1) { edges { cursor } pageInfo { startCursor endCursor } } }' }),
  })
  const { data } = await response.json()
  const { endCursor } = data.events.pageInfo
  expect(data.events).toEqual({ edges: [], pageInfo: { startCursor: null, endCursor: expect.any(String) } })
  // What happened before that cursor is not told, and what happens before the stream is opened is.
  const account = await connectAccount(world, { person: await newPerson(world) })
  await account.person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
  const shown = { type: 'account.reconnected' as const, userId: account.userId, accountId: account.id }
  await record(world, shown)
  const stream = await openStream(world.url, headers, { after: endCursor })
  await stream.ended
  expect(stream.types()).toEqual(['ACCOUNT_RECONNECTED'])
})
