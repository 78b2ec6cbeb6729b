/** Common GraphQL clients follow events across the ends of streams, gateways and connections. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChaosAccount, connectAccounts } from '../stress/chaos/accounts.ts'
import { type Arena, openArena } from '../stress/chaos/arena.ts'
import { productionPace } from '../stress/chaos/fast-timing.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { parseRelativeLinks } from '../support/documents/markdown.ts'
import { type Program, startProgram } from '../support/program.ts'

const LIFE_SECONDS = 2
const ROUNDS = 3

let arena: Arena
let account: ChaosAccount
beforeAll(async () => {
  const timing = { ...productionPace.timing, streamLifetimeSeconds: LIFE_SECONDS, streamRecheckSeconds: 1 }
  arena = await openArena({ processes: 1, pace: { ...productionPace, timing }, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [first] = await connectAccounts(arena, 1)
  if (first === undefined) throw new Error('Bug: one link was asked for')
  account = first
})
afterAll(() => arena[Symbol.asyncDispose]())

async function ask<Data>(query: string, variables: Record<string, unknown>): Promise<Data> {
  const response = await fetch(`${arena.publicUrl}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: account.cookie, 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

async function post(text: string): Promise<string> {
  const { postTweet } = await ask<{ postTweet: { tweet: { id: string } } }>(
    'mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id } } }',
    { input: { text, accountId: account.accountId } },
  )
  return postTweet.tweet.id
}

async function makeToken(): Promise<{ id: string; secret: string }> {
  const { createApiToken } = await ask<{ createApiToken: { secret: string; apiToken: { id: string } } }>(
    'mutation ($input: CreateApiTokenInput!) { createApiToken(input: $input) { secret apiToken { id } } }',
    { input: { name: 'follower', scopes: ['events:read'] } },
  )
  return { id: createApiToken.apiToken.id, secret: createApiToken.secret }
}

/** Returns the ids of the tweets that the program has reported, in its order. */
const told = (program: Program) =>
  program
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'TWEET_POSTED')
    .map(({ tweetId }) => tweetId)

const countStreams = () => arena.fleet.readLogs().split('"operation":"Follow"').length - 1

describe.each(['graphql-sse', 'urql'])('the example with %s', (name) => {
  const file = `test/examples/follow-with-${name}.ts`

  test('is linked from the manual of the API', () => {
    expect(
      parseRelativeLinks(readFileSync(path.join(import.meta.dirname, '../../schema/README.md'), 'utf8')),
    ).toContain(`../${file}`)
  })

  test('misses no event and reports none twice while streams end and the gateway is restarted and killed', async () => {
    const [slot] = arena.fleet.slots
    if (slot === undefined) throw new Error('Bug: one process was asked for')
    const token = await makeToken()
    const before = countStreams()
    const program = startProgram(file, { GATEWAY_URL: arena.publicUrl, TOKEN: token.secret })
    await expect.poll(countStreams, { timeout: 30_000 }).toBeGreaterThan(before)
    // A stream that ends before its first event is resumed from its start.
    await expect.poll(countStreams, { timeout: 30_000 }).toBeGreaterThan(before + 1)
    const posted: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      // Another stream reports the second part.
      const opened = countStreams()
      for (let number = 0; number < 3; number++) posted.push(await post(`${name} ${round} ${number}`))
      await expect.poll(countStreams, { timeout: 30_000 }).toBeGreaterThan(opened)
      for (let number = 3; number < 5; number++) posted.push(await post(`${name} ${round} ${number}`))
      if (round === 1) await arena.fleet.terminate(slot)
      if (round === 2) await arena.fleet.kill(slot)
      if (round > 0) await arena.fleet.start(slot)
      posted.push(await post(`${name} ${round} after the start`))
    }
    await expect.poll(() => told(program), { timeout: 60_000, interval: 100 }).toEqual(posted)
    // Two before the rounds, one in each round, and one after the last start.
    await expect.poll(countStreams, { timeout: 30_000 }).toBeGreaterThan(before + ROUNDS + 2)
    // A final error ends the program.
    await ask('mutation ($input: RevokeApiTokenInput!) { revokeApiToken(input: $input) { userErrors { code } } }', {
      input: { apiTokenId: token.id },
    })
    expect(await program.ended).toBe(1)
    // In the stream, or between two streams by the status of the next.
    expect(program.output()).toMatch(/API token|401: Unauthorized/)
    expect(told(program)).toEqual(posted)
  })
})
