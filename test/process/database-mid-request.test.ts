// The database goes away between the session lookup and the end of a resolver.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, onTestFinished, test } from 'vitest'
import { openSingleConnection } from '../../src/db/client.ts'
import { errorExtensions } from '../../src/http/error-response.ts'
import { cookieOf } from '../support/browser.ts'
import { connectAccount } from '../support/connected-account.ts'
import { startWorld } from '../support/harness.ts'
import { createDatabase } from '../support/postgres-databases.ts'

type ReceivedResponse = {
  data?: Record<string, unknown> | null
  errors?: { message: string; path?: string[]; extensions: Record<string, unknown> }[]
}

async function openWorld() {
  const database = await createDatabase(inject('postgres'))
  const world = await startWorld({ DATABASE_URL: database.url })
  const admin = openSingleConnection(database.url)
  onTestFinished(async () => {
    await world.close()
    await admin.end()
    await database.drop()
  })
  const account = await connectAccount(world)
  const ask = async (query: string, variables: Record<string, unknown> = {}) => {
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...cookieOf(account.person) },
      body: JSON.stringify({ query, variables }),
    })
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      requestId: response.headers.get('x-request-id'),
      body: (await response.json()) as ReceivedResponse,
    }
  }
  /**
   * Sends a request, and until there is a response terminates each database session that waits for
   * `table`: the first may belong to a background job.
   */
  const askWithout = (table: string, query: string, variables?: Record<string, unknown>) =>
    admin.begin(async (admin) => {
      await admin.unsafe(`lock table ${table} in access exclusive mode`)
      let isDone = false
      const asked = ask(query, variables).finally(() => {
        isDone = true
      })
      while (!isDone) {
        await admin`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and application_name = 'xconnect-gateway'`
        await sleep(20)
      }
      return asked
    })
  return { world, account, ask, askWithout }
}

const away = (requestId: string | null, path: string) => ({
  message: 'The database does not respond. Try again shortly.',
  path: [path],
  locations: expect.anything(),
  extensions: errorExtensions('DATABASE_UNAVAILABLE', { requestId }),
})

test('a query that loses the database in a resolver gets 503 with Retry-After', async () => {
  const { world, ask, askWithout } = await openWorld()
  const query = '{ viewer { login } tweets { edges { node { id } } } }'
  const { requestId, ...lost } = await askWithout('tweets', query)
  expect(lost).toEqual({ status: 503, retryAfter: '5', body: { data: null, errors: [away(requestId, 'tweets')] } })
  const lines = world
    .logs()
    .split('\n')
    .filter((line) => line.includes(requestId ?? '-') && line.includes('"level":"error"'))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('57P01')
  expect(await ask(query)).toMatchObject({ status: 200, retryAfter: null })
})

test('returns the data that was read, with the error of the field that was not', async () => {
  const { askWithout } = await openWorld()
  const query = '{ viewer { login } tweet(tweetId: "019c0000-0000-7000-8000-000000000000") { id } }'
  const { requestId, ...lost } = await askWithout('tweets', query)
  expect(lost).toEqual({
    status: 200,
    retryAfter: null,
    body: { data: { viewer: { login: 'mara-holt' }, tweet: null }, errors: [away(requestId, 'tweet')] },
  })
})

test('a post that loses the database gets 503, and posts once when repeated with the same key', async () => {
  const { world, account, askWithout } = await openWorld()
  const input = { text: 'Once and no more', idempotencyKey: 'once-and-no-more' }
  const post = 'postTweet(input: $input) { tweet { status } userErrors { code } }'
  const { requestId, ...lost } = await askWithout('tweets', `mutation ($input: PostTweetInput!) { ${post} }`, { input })
  const postTweet = null
  expect(lost).toEqual({
    status: 503,
    retryAfter: '5',
    body: { data: { postTweet }, errors: [away(requestId, 'postTweet')] },
  })

  // Another mutation in the same document keeps its result.
  const { requestId: secondId, ...partly } = await askWithout(
    'tweets',
    `mutation ($input: PostTweetInput!) {
      setLinkVisibility(input: { visibility: INTEGRATORS }) { userErrors { code } }
      ${post}
    }`,
    { input },
  )
  expect(partly).toEqual({
    status: 200,
    retryAfter: null,
    body: { data: { setLinkVisibility: { userErrors: [] }, postTweet }, errors: [away(secondId, 'postTweet')] },
  })
  // The mutation before the error's path took effect.
  expect(await account.person.api('viewer')).toMatchObject({ viewer: { linkVisibility: 'INTEGRATORS' } })
  for (let again = 0; again < 2; again++) {
    const { postTweet } = await account.person.api('post-tweet', { input })
    expect(postTweet).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  }
  expect(world.sandbox.control.tweets(account.username).filter(({ text }) => text === input.text)).toHaveLength(1)
})
