// The time that the gateway adds to a post at X, against a bare INSERT and UPDATE. One caller sends
// to the stub, to the gateway and to PostgreSQL in turns.
import { randomUUID } from 'node:crypto'
import { Client } from 'undici'
import { percentile } from '../support/percentile.ts'
import type { BenchOptions } from './arguments.ts'
import type { Figures } from './figures.ts'
import { readProcessorTime, readTreeTime } from './processor-time.ts'
import type { Stage } from './stage.ts'

export type PostRounds = { gateway: Figures[]; bare: Figures[] }

const DOCUMENT = `mutation ($input: PostTweetInput!) {
  postTweet(input: $input) { tweet { id status url } userErrors { code message } }
}`
const JSON_HEADERS = { 'content-type': 'application/json' }
const WARM_UP_SECONDS = 3

export async function measurePosts(stage: Stage, options: BenchOptions): Promise<PostRounds> {
  const { gateway, stub, sql } = stage
  await sql.unsafe('create table if not exists bare_tweets (like tweets including all)')
  const [backend] = await sql`select pg_backend_pid() as pid`
  const barePid = Number(backend?.pid)
  await using resources = new AsyncDisposableStack()
  const [toGateway, toStub] = [gateway, stub].map(({ url }) => {
    const client = new Client(url)
    resources.defer(() => client.close())
    return client
  })
  if (toGateway === undefined || toStub === undefined) throw new Error('Bug: two clients were opened')
  const actions = {
    stub: () => send(toStub, '/2/tweets', stage.tokenHeaders, { text: 'A tweet' }, '"id"'),
    gateway: () => send(toGateway, '/graphql', stage.tokenHeaders, postOf(stage), '"POSTED"'),
    bare: () => writeBare(stage),
  }
  const measure = async (seconds: number) => {
    const milliseconds = { stub: [] as number[], gateway: [] as number[], bare: [] as number[] }
    const before = readTimes(stage, barePid)
    const endsAt = performance.now() + seconds * 1000
    while (performance.now() < endsAt) {
      for (const name of ['stub', 'gateway', 'bare'] as const) {
        const startedAt = performance.now()
        await actions[name]()
        milliseconds[name].push(performance.now() - startedAt)
      }
    }
    const after = readTimes(stage, barePid)
    const microseconds = (name: keyof typeof before) =>
      ((after[name] - before[name]) * 1000) / milliseconds.gateway.length
    const at = (share: number) => ({
      added: percentile(milliseconds.gateway, share) - percentile(milliseconds.stub, share),
      bare: percentile(milliseconds.bare, share),
    })
    return {
      gateway: {
        'p50 ms': at(0.5).added,
        'p99 ms': at(0.99).added,
        'CPU µs': microseconds('gateway'),
        'PostgreSQL CPU µs': microseconds('postgres') - microseconds('bare'),
      },
      bare: { 'p50 ms': at(0.5).bare, 'p99 ms': at(0.99).bare, 'PostgreSQL CPU µs': microseconds('bare') },
    }
  }
  await measure(WARM_UP_SECONDS)
  const rounds: PostRounds = { gateway: [], bare: [] }
  for (let round = 0; round < options.rounds; round++) {
    const { gateway, bare } = await measure(options.seconds)
    rounds.gateway.push(gateway)
    rounds.bare.push(bare)
  }
  return rounds
}

function readTimes({ gateway, postmasterPid }: Stage, barePid: number) {
  return {
    gateway: readProcessorTime(gateway.pid),
    postgres: readTreeTime(postmasterPid),
    bare: readProcessorTime(barePid),
  }
}

function postOf({ accountId }: Stage): object {
  const text = `A tweet of the benchmark ${randomUUID()}`
  return { query: DOCUMENT, variables: { input: { accountId, text, idempotencyKey: randomUUID() } } }
}

async function send(client: Client, path: string, headers: Record<string, string>, json: object, expected: string) {
  const body = JSON.stringify(json)
  const response = await client.request({ path, method: 'POST', headers: { ...headers, ...JSON_HEADERS }, body })
  const text = await response.body.text()
  if (!text.includes(expected)) throw new Error(`${path} responded ${response.statusCode}: ${text}`)
}

// Two commits with named statements, as the least that remembers a post before and after it.
async function writeBare({ sql, userId, accountId }: Stage): Promise<void> {
  const id = randomUUID()
  await sql`insert into bare_tweets (user_id, id, account_id, request_hash, text, status, claimed_until, sent_at, created_at)
    values (${userId}, ${id}, ${accountId}, ${id}, ${`A tweet of the benchmark ${id}`}, 'PENDING', now(), now(), now())`
  await sql`update bare_tweets set status = 'POSTED', x_tweet_id = ${id}, posted_at = now()
    where user_id = ${userId} and id = ${id}`
}
