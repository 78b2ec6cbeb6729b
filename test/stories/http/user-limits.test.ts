// The rate limit of a user, and how the user learns of it.
import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { apiTokens, events } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { openStream } from '../../support/event-stream.ts'
import type { World } from '../../support/harness.ts'
import { HOUR_SECONDS, send, startLimited, statuses } from '../../support/rate-limited.ts'

let world: World
afterEach(() => world.close())

describe('K-07 a user', () => {
  test('gets a 429 with the time of the next try above the limit, and is served again at that time', async () => {
    world = await startLimited(`user=3/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const first = await send(person, '{viewer{login}}')
    expect(first).toMatchObject({ status: 200, policy: '"user";q=3;w=3600', retryAfter: null })
    expect(first.left).toMatch(/^"user";r=2;t=(1200|1199)$/)
    expect((await send(person, '{viewer{login}}')).left).toMatch(/^"user";r=1;/)
    expect((await send(person, '{viewer{login}}')).left).toMatch(/^"user";r=0;/)

    const refused = await send(person, '{viewer{login}}')
    expect(refused.status).toBe(429)
    expect(refused.policy).toBe('"user";q=3;w=3600')
    expect(refused.left).toMatch(/^"user";r=0;/)
    const wait = Number(refused.retryAfter)
    expect(wait).toBeGreaterThan(1_000)
    expect(wait).toBeLessThanOrEqual(1_200)
    expect(refused.body).toEqual({
      errors: [
        {
          message: `This request costs 1, and 0 remain of this gateway's limit of 3 per 3600 s. Try again in ${wait} s.`,
          extensions: { code: 'RATE_LIMITED', retry: 'LATER', retryAt: expect.any(String) },
        },
      ],
    })

    world.advance(wait - 600)
    expect((await send(person, '{viewer{login}}')).status).toBe(429)
    world.advance(600)
    expect((await send(person, '{viewer{login}}')).status).toBe(200)
    expect((await send(person, '{viewer{login}}')).status).toBe(429)
    world.advance(HOUR_SECONDS)
    expect(await statuses(4, () => send(person, '{viewer{login}}'))).toEqual([200, 200, 200, 429])
  })

  test('has one limit over all sessions, separate from other users', async () => {
    world = await startLimited(`user=4/${HOUR_SECONDS},address=4/${HOUR_SECONDS}`)
    const [here, elsewhere] = [await world.signedIn('mara-holt'), await world.signedIn('mara-holt')]
    const other = await world.signedIn('tomasz-k')
    expect(await statuses(3, () => send(here, '{viewer{login}}'))).toEqual([200, 200, 200])
    expect(await statuses(2, () => send(elsewhere, '{viewer{login}}'))).toEqual([200, 429])
    expect((await send(here, '{viewer{login}}')).status).toBe(429)
    expect(await statuses(5, () => send(other, '{viewer{login}}'))).toEqual([200, 200, 200, 200, 429])
    // From the same address, without a session.
    expect(await statuses(5, () => send(world.browser(), '{viewer{login}}'))).toEqual([200, 200, 200, 200, 429])
  })

  test('cannot exceed the limit with concurrent requests', async () => {
    world = await startLimited(`user=10/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const responses = await Promise.all(Array.from({ length: 30 }, () => send(person, '{viewer{login}}')))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(10)
    const refused = responses.filter(({ status }) => status === 429)
    expect(refused).toHaveLength(20)
    for (const { left, retryAfter, body } of refused) {
      expect(left).toMatch(/^"user";r=0;/)
      expect(Number(retryAfter)).toBeGreaterThan(300)
      expect(body.errors?.[0]?.message).toMatch(/^This request costs 1, and 0 remain /)
    }
    const left = responses
      .filter(({ status }) => status === 200)
      .map((response) => response.left?.match(/r=(\d+)/)?.[1])
    expect(left.toSorted()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  })

  test('consumes the cost of a document; a document above the remaining limit is not executed and consumes nothing', async () => {
    world = await startLimited(`user=30/${HOUR_SECONDS}`)
    const account = await connectAccount(world)
    await account.post()
    world.advance(HOUR_SECONDS)
    const { person } = account
    const page = '{tweets(first:100){edges{node{id text status url account{username}}}}}'
    const readLeft = (response: { left: string | null }) => Number(response.left?.match(/r=(\d+)/)?.[1])
    expect(readLeft(await send(person, '{viewer{login}}'))).toBe(29)
    const dear = await send(person, page)
    expect(dear).toMatchObject({ status: 200, body: { data: { tweets: { edges: [{}] } } } })
    const cost = 29 - readLeft(dear)
    expect(cost).toBe(1 + Math.floor((1 + 100 * 8) / 100))
    expect(readLeft(await send(person, '{tweets(first:1){edges{node{id}}}}'))).toBe(29 - cost - 1)

    // The cost is consumed before the execution: no part of the mutation runs.
    const before = world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })
    const post = (number: number) =>
      `p${number}: postTweet(input:{text:"${number}",accountId:"${account.id}"}){tweet{id}}`
    const refused = await send(person, `mutation{${[1, 2, 3, 4].map(post).join(' ')}}`)
    expect(refused).toMatchObject({ status: 429, body: { errors: [{ extensions: { code: 'RATE_LIMITED' } }] } })
    expect(refused.body.errors?.[0]?.message).toMatch(
      /^This request costs 21, and 19 remain of this gateway's limit of 30 per/,
    )
    expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(before)
    expect((await send(person, `mutation{${post(5)}}`)).body).toMatchObject({ data: { p5: { tweet: {} } } })
    expect(readLeft(await send(person, '{viewer{login}}'))).toBe(19 - 6 - 1)
  })

  test('consumes the cost of the selected operation with its variables, and 1 for an invalid document', async () => {
    world = await startLimited(`user=100/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const spend = async (body: unknown) => {
      const response = await person.request('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      return Number(response.headers.get('ratelimit')?.match(/r=(\d+)/)?.[1])
    }
    let left = 100
    const costs = async (body: unknown) => {
      const before = left
      left = await spend(body)
      return before - left
    }
    const query =
      'query Small{viewer{id}} query Large($first:Int){tweets(first:$first){edges{...node}}} fragment node on TweetEdge{node{id text status}}'
    expect(await costs({ query, operationName: 'Small' })).toBe(1)
    expect(await costs({ query, operationName: 'Large', variables: { first: 100 } })).toBe(6)
    expect(await costs({ query, operationName: 'Large', variables: { first: 10 } })).toBe(1)
    expect(await costs({ query, operationName: 'Large', variables: { first: 'ten' } })).toBe(1)
    expect(await costs({ query, operationName: 'Neither' })).toBe(1)
    expect(await costs({ query })).toBe(1)
    expect(await costs({ query: '{nothing}' })).toBe(1)
    expect(await costs({ query: '{' })).toBe(1)
    expect(await costs('no JSON')).toBe(1)
    // A document that is refused for its size is not executed.
    const far = Array.from({ length: 20 }, (_, index) => `a${index}:tweets(first:100){edges{node{id}}}`)
    expect(await costs({ query: `{${far.join(' ')}}` })).toBe(1)
  })

  test('consumes the cost of a stream when it is opened, and gets none without remaining limit', async () => {
    world = await startLimited(`user=2/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const open = () => openStream(world.url, cookieOf(person))
    const streams = [await open(), await open(), await open()]
    const told = streams.map(({ status, headers }) => [status, headers.get('ratelimit')?.match(/r=\d+/)?.[0]])
    expect(told).toEqual([
      [200, 'r=1'],
      [200, 'r=0'],
      [429, 'r=0'],
    ])
    expect(await streams[2]?.ended).toEqual({ completed: true, codes: ['RATE_LIMITED'] })
    for (const stream of streams) await stream.hangUp()
  })

  test('reads the same values in the API', async () => {
    world = await startLimited(`user=50/${HOUR_SECONDS},address=20/${HOUR_SECONDS}`)
    const query = '{rateLimit{limit windowSeconds cost remaining resetAt} tweets(first:100){edges{node{id}}}}'
    const { body } = await send(await world.signedIn(), query)
    expect(body.data?.rateLimit).toEqual({
      limit: 50,
      windowSeconds: HOUR_SECONDS,
      cost: 4,
      remaining: 46,
      resetAt: expect.stringMatching(/Z$/),
    })
    const { rateLimit } = await world.browser().api('rate-limit')
    expect(rateLimit).toMatchObject({ limit: 20, remaining: 19 })
  })

  test('K-14 can make so many changes, each of which is an event, however they are sent', async () => {
    world = await startLimited(`change=3/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const set = (number: number) =>
      `${number === 0 ? '' : `a${number}: `}setLinkVisibility(input: {visibility: ${number % 2 === 0 ? 'INTEGRATORS' : 'NOBODY'}}) { userErrors { code message retryAt } }`
    const { status, body } = await send(person, `mutation {${Array.from({ length: 16 }, (_, n) => set(n)).join(' ')}}`)
    const errors = Object.values(body.data ?? {}).flatMap(
      (payload) => (payload as { userErrors: { code: string; message: string; retryAt: string }[] }).userErrors,
    )
    expect(status).toBe(200)
    expect(errors.map(({ code }) => code)).toEqual(Array(13).fill('RATE_LIMITED'))
    expect(errors[0]?.message).toMatch(/limit of 3 per 3600 s\. Try again in \d+ s\.$/)
    expect(Date.parse(errors[0]?.retryAt ?? '')).toBeGreaterThan(world.clock.now().getTime())
    expect(await world.db().$count(events, eq(events.type, 'link_visibility.changed'))).toBe(3)
    const { createApiToken } = await person.api('create-api-token', {
      input: { name: 'a bot', scopes: ['tweets:read'] },
    })
    expect(createApiToken).toMatchObject({ secret: null, userErrors: [{ code: 'RATE_LIMITED' }] })
    expect(await world.db().$count(apiTokens)).toBe(0)
  })
})
