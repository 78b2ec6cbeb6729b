// The time that the gateway adds to the calls of a provider, against a bare INSERT and UPDATE. One
// caller sends to the stub, to the gateway and to PostgreSQL in turns.
import { randomUUID } from 'node:crypto'
import { Client } from 'undici'
import { openBrowser } from '../support/browser.ts'
import { percentile } from '../support/percentile.ts'
import type { BenchOptions } from './arguments.ts'
import type { Figures } from './figures.ts'
import { readProcessorTime, readTreeTime } from './processor-time.ts'
import { connect, type Stage, signIn } from './stage.ts'

export type AddedRounds = { gateway: Figures[]; bare: Figures[] }

/** Each does its work once, and returns the milliseconds of the part that counts. */
type Actions = { stub(): Promise<number>; gateway(): Promise<number> }

const POST = `mutation ($input: PostTweetInput!) {
  postTweet(input: $input) { tweet { id status url } userErrors { code message } }
}`
const JSON_HEADERS = { 'content-type': 'application/json' }
// Node compiles the code of a post for tens of seconds.
const WARM_UP_TURN_SECONDS = 5
const MAX_WARM_UP_TURNS = 12
const STEADY_WITHIN = 0.05
// Accounts of other scenarios have lower numbers.
let lastAccount = 1_000

/** Measures `postTweet`. */
export async function measurePosts(stage: Stage, options: BenchOptions): Promise<AddedRounds> {
  await using toGateway = openClient(stage.gateway.url)
  await using toStub = openClient(stage.stub.url)
  const post = () => ({ accountId: stage.accountId, text: `A tweet ${randomUUID()}`, idempotencyKey: randomUUID() })
  // Awaited here, while the clients are open.
  return await measureAdded(stage, options, {
    stub: () => timed(() => send(toStub, '/2/tweets', stage.tokenHeaders, { text: 'A tweet' }, '"id"')),
    gateway: () =>
      timed(() =>
        send(toGateway, '/graphql', stage.tokenHeaders, { query: POST, variables: { input: post() } }, '"POSTED"'),
      ),
  })
}

/** Measures the callback that connects a new account. Its start is not timed. */
export async function measureCallbacks(stage: Stage, options: BenchOptions): Promise<AddedRounds> {
  await using toStub = openClient(stage.stub.url)
  const person = openBrowser(stage.gateway.url)
  await signIn(person, 2)
  const added = await measureAdded(stage, options, {
    stub: () =>
      timed(async () => {
        await send(toStub, '/2/oauth2/token', {}, {}, 'access_token')
        await send(toStub, '/2/users/me', {}, {}, 'username')
      }),
    gateway: async () => {
      lastAccount += 1
      return connect(person, lastAccount)
    },
  })
  await person.close()
  return added
}

async function measureAdded(stage: Stage, options: BenchOptions, { stub, gateway }: Actions): Promise<AddedRounds> {
  const { sql } = stage
  await sql.unsafe('create table if not exists bare_tweets (like tweets including all)')
  const [backend] = await sql`select pg_backend_pid() as pid`
  const barePid = Number(backend?.pid)
  const actions = { stub, gateway, bare: () => timed(() => writeBare(stage)) }
  const measure = async (seconds: number) => {
    const milliseconds = { stub: [] as number[], gateway: [] as number[], bare: [] as number[] }
    const before = readTimes(stage, barePid)
    const endsAt = performance.now() + seconds * 1000
    while (performance.now() < endsAt)
      for (const name of ['stub', 'gateway', 'bare'] as const) milliseconds[name].push(await actions[name]())
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
  await warmUp(async () => (await measure(WARM_UP_TURN_SECONDS)).gateway['CPU µs'])
  const rounds: AddedRounds = { gateway: [], bare: [] }
  for (let round = 0; round < options.rounds; round++) {
    const { gateway, bare } = await measure(options.seconds)
    rounds.gateway.push(gateway)
    rounds.bare.push(bare)
  }
  return rounds
}

/** Repeats a measure until it falls no more. */
async function warmUp(measure: () => Promise<number>): Promise<void> {
  let least = Infinity
  for (let turn = 0; turn < MAX_WARM_UP_TURNS; turn++) {
    const last = await measure()
    if (last > least * (1 - STEADY_WITHIN)) return
    least = last
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

function readTimes({ gateway, postmasterPid }: Stage, barePid: number) {
  return {
    gateway: readProcessorTime(gateway.pid),
    postgres: readTreeTime(postmasterPid),
    bare: readProcessorTime(barePid),
  }
}

function openClient(url: string) {
  const client = new Client(url)
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
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
  await sql`insert into bare_tweets (user_id, id, account_id, text, status, claimed_until, sent_at, created_at)
    values (${userId}, ${id}, ${accountId}, ${`A tweet of the benchmark ${id}`}, 'PENDING', now(), now(), now())`
  await sql`update bare_tweets set status = 'POSTED', x_tweet_id = ${id}, posted_at = now()
    where user_id = ${userId} and id = ${id}`
}
