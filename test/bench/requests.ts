// The scenarios in which one request is sent over and over: to the gateway, the limit and the peers
// in turns.
import { isDeepStrictEqual } from 'node:util'
import type { BenchOptions, ServerName } from './arguments.ts'
import type { Figures } from './figures.ts'
import { type BenchRequest, sendLoad } from './load.ts'
import { readProcessorTime, readResidentBytes, readTreeTime } from './processor-time.ts'
import { type ServerProcess, startServer } from './server-process.ts'
import type { Stage } from './stage.ts'

/** The figures of each server, one for each round. */
export type ServerRounds = Map<ServerName, Figures[]>

type RequestScenario = {
  document: string
  headers(stage: Stage, name: ServerName): Record<string, string>
  limitPath: string
  /** True where the peers can respond too. */
  hasPeers: boolean
  /** False where the servers respond about different rows. */
  isComparable?: boolean
  prepare?(stage: Stage): Promise<void>
}

const ACCOUNT_FIELDS = 'id provider username displayName avatarUrl scopes status accessTokenExpiresAt connectedAt'
const TWEETS = 100_000

export const requestScenarios = {
  connectedAccounts: {
    document: `{ connectedAccounts { ${ACCOUNT_FIELDS} } }`,
    headers: ({ cookieHeaders }) => cookieHeaders,
    limitPath: '/accounts',
    hasPeers: true,
  },
  connectedAccountsByToken: {
    document: `{ connectedAccounts { ${ACCOUNT_FIELDS} } }`,
    headers: ({ tokenHeaders }) => tokenHeaders,
    limitPath: '/accounts-by-token',
    hasPeers: false,
  },
  viewer: {
    document: '{ viewer { id login } }',
    headers: ({ cookieHeaders }) => cookieHeaders,
    limitPath: '/viewer',
    hasPeers: false,
  },
  tweets: {
    document: '{ tweets(first: 20) { nodes { id text status createdAt } pageInfo { hasNextPage } } }',
    headers: ({ cookieHeaders }) => cookieHeaders,
    limitPath: '/tweets',
    hasPeers: false,
    prepare: insertTweets,
  },
} as const satisfies Record<string, RequestScenario>

const files: Record<Exclude<ServerName, 'gateway'>, string> = {
  limit: 'limit.js',
  mercurius: 'mercurius.js',
  apollo: 'apollo.js',
  yoga: 'yoga.js',
  'better-auth': 'better-auth.js',
}
const SECRET = 'a-secret-of-the-benchmark-0123456789'
// Time to compile what is hot. Compilation runs beside the requests, and would count as their cost.
const WARM_UP_SECONDS = 8

/** Measures one scenario. Every server responds to the same requests, in turns. */
export async function measureRequests(
  stage: Stage,
  scenario: RequestScenario,
  options: BenchOptions,
): Promise<ServerRounds> {
  await scenario.prepare?.(stage)
  await using resources = new AsyncDisposableStack()
  const names = options.servers.filter((name) => scenario.hasPeers || name === 'limit' || name === 'gateway')
  const servers: { name: ServerName; process: ServerProcess }[] = []
  for (const name of names)
    servers.push({ name, process: name === 'gateway' ? stage.gateway : resources.use(await startPeer(stage, name)) })
  if (scenario.isComparable !== false) await assertSameResponses(stage, scenario, servers)
  for (const { name, process } of servers)
    await sendLoad(await requestTo(stage, scenario, name, process.url), { ...options, seconds: WARM_UP_SECONDS })
  const rounds: ServerRounds = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < options.rounds; round++) {
    // Each round begins with another server, so that none is always the first.
    const turn = servers.map((_, index) => servers[(index + round) % servers.length])
    for (const server of turn) {
      if (server === undefined) continue
      rounds.get(server.name)?.push(await measureServer(stage, scenario, server, options))
    }
  }
  return rounds
}

async function measureServer(
  stage: Stage,
  scenario: RequestScenario,
  { name, process }: { name: ServerName; process: ServerProcess },
  options: BenchOptions,
): Promise<Figures> {
  const request = await requestTo(stage, scenario, name, process.url)
  const before = { server: readProcessorTime(process.pid), postgres: readTreeTime(stage.postmasterPid) }
  const load = await sendLoad(request, options)
  const microseconds = (after: number, before: number) => ((after - before) * 1000) / load.total
  return {
    'requests/s': load.perSecond,
    'p50 ms': load.p50Milliseconds,
    'p99 ms': load.p99Milliseconds,
    'CPU µs': microseconds(readProcessorTime(process.pid), before.server),
    'PostgreSQL CPU µs': microseconds(readTreeTime(stage.postmasterPid), before.postgres),
    'memory MB': readResidentBytes(process.pid) / 1024 ** 2,
  }
}

async function startPeer(stage: Stage, name: Exclude<ServerName, 'gateway'>): Promise<ServerProcess> {
  const { url } = name === 'better-auth' ? await createEmptyDatabase(stage) : { url: stage.databaseUrl }
  return startServer(files[name], { DATABASE_URL: url, SECRET })
}

async function createEmptyDatabase({ sql, databaseUrl }: Stage): Promise<{ url: string }> {
  const name = `bench_${Date.now()}`
  await sql.unsafe(`create database ${name}`)
  const url = new URL(databaseUrl)
  url.pathname = `/${name}`
  return { url: url.href }
}

async function requestTo(
  stage: Stage,
  scenario: RequestScenario,
  name: ServerName,
  url: string,
): Promise<BenchRequest> {
  if (name === 'better-auth') return betterAuthRequest(url)
  const path = name === 'limit' ? scenario.limitPath : '/graphql'
  // Apollo's standalone server listens at the root and below.
  return {
    url: url + path,
    method: 'POST',
    headers: { ...scenario.headers(stage, name), 'content-type': 'application/json' },
    body: JSON.stringify({ query: scenario.document }),
  }
}

// Its session cache expires, so that each round signs in.
async function betterAuthRequest(url: string): Promise<BenchRequest> {
  const response = await fetch(`${url}/api/auth/sign-in/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: url },
    body: JSON.stringify({ email: 'mara@example.com', password: SECRET }),
  })
  const cookie = response.headers
    .getSetCookie()
    .map((header) => header.split(';')[0])
    .join('; ')
  return { url: `${url}/api/auth/list-accounts`, method: 'GET', headers: { cookie }, body: null }
}

// A server that leaves work out would win.
async function assertSameResponses(
  stage: Stage,
  scenario: RequestScenario,
  servers: readonly { name: ServerName; process: ServerProcess }[],
): Promise<void> {
  let expected: unknown = null
  for (const { name, process } of servers) {
    const { url, method, headers, body } = await requestTo(stage, scenario, name, process.url)
    const response = await fetch(url, { method, headers, ...(body !== null && { body }) })
    const json: unknown = await response.json()
    if (name === 'better-auth') {
      // Beside the two accounts it lists its own, with the password.
      if (!Array.isArray(json) || json.length !== 3) throw new Error(`better-auth responded ${JSON.stringify(json)}`)
      continue
    }
    expected ??= json
    if (!isDeepStrictEqual(json, expected))
      throw new Error(`${name} responded ${JSON.stringify(json)} and not ${JSON.stringify(expected)}`)
  }
}

async function insertTweets({ sql, userId, accountId }: Stage): Promise<void> {
  await sql.unsafe(`insert into tweets (user_id, id, account_id, text, status, claimed_until, sent_at, x_tweet_id,
      created_at, posted_at)
    select '${userId}', gen_random_uuid(), '${accountId}', 'A tweet of some length, number ' || n, 'POSTED',
      now(), now(), 1000000000 + n, now() - n * interval '1 minute', now()
    from generate_series(1, ${TWEETS}) n`)
  await sql.unsafe('vacuum analyze tweets')
}
