// `npm run bench`: the gateway beside the least that can respond, and beside other servers.
import { tmpdir } from 'node:os'
import { type AddedRounds, measureCallbacks, measurePosts } from './added-time.ts'
import { type BenchOptions, parseBenchArguments, type ScenarioName } from './arguments.ts'
import { measureEmbedded } from './embedded.ts'
import { runGrowthCommand } from './growth/command.ts'
import { installPeers } from './peers.ts'
import { measureRequests, requestScenarios } from './requests.ts'
import { openStage, type Stage } from './stage.ts'
import { measureIdle, measureStarts } from './starts.ts'
import { measureStreams } from './streams.ts'
import { type Row, renderTables } from './table.ts'

const USAGE = `npm run bench -- [SCENARIO…] [options]: the gateway beside a hand-written server and its peers

  connectedAccounts         by the session cookie, beside the limit and all peers
  connectedAccountsByToken  by an API token, beside the limit
  viewer                    id and login, beside the limit
  tweets                    the last 20 of 100,000, beside the limit
  embedded                  connectedAccounts by cookie on the embedded database, beside the limit on PostgreSQL
  postTweet                 what the gateway adds to the post at a stub of X, beside an INSERT and an UPDATE
  callback                  what the gateway adds to the calls of a callback that connects an account, beside the same
  streams                   an event, from its commit to the last of 100 streams, beside a NOTIFY; memory of a stream
  start                     until it is ready, warm, embedded and on PostgreSQL, beside Node and PGlite's own open
  idle                      a minute without requests; it ends the gateway of the other scenarios, so it is the last

  --servers A,B     limit, gateway, mercurius, apollo, yoga, better-auth (all; the limit always)
  --rounds N        how often each figure is measured, in turns; the median is printed (5)
  --seconds N       how long a server is measured in one round (4)
  --connections N   connections that send requests (32)
  --help            prints this

npm run bench -- growth [options]: a large database beside a small one; growth --help lists the options`

const NOTE = `In parentheses: the multiple of the limit, the median of the ratios within each round. CPU is of one request.
The limit (node:http, one hand-written SQL join, JSON.stringify), Mercurius, Apollo Server and Yoga have no rate limit, no log, no protection
against cross-site requests beyond what they ship, and no revocation but the session's row. better-auth checks the origin of requests, and takes the
session from a signed cookie for an hour, so that a revoked session still responds; its rate limit is off. The gateway has all of its protections on.`

const [command, ...args] = process.argv.slice(2)
if (command === 'growth') {
  await runGrowthCommand(args)
  process.exit(0)
}
const options = readOptions()
installPeers()
// The database belongs on a disk, where a commit waits, and not on a RAM disk as in the tests.
process.env.TMPDIR ??= tmpdir()
await using stage = await openStage()
const requests: Row[] = []
const others: Row[][] = []
for (const name of options.scenarios) {
  console.log(`${name} …`)
  const rows = await measure(stage, name, options)
  if (name === 'streams' || name === 'start' || name === 'idle') others.push(rows)
  else requests.push(...rows)
}
console.log(`\n${renderTables([requests, ...others])}\n\n${NOTE}`)

function readOptions(): BenchOptions {
  try {
    const parsed = parseBenchArguments(process.argv.slice(2))
    if (parsed !== null) return parsed
    console.log(USAGE)
    process.exit(0)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
    process.exit(1)
  }
}

async function measure(stage: Stage, name: ScenarioName, options: BenchOptions): Promise<Row[]> {
  if (name === 'postTweet') return addedRows(name, await measurePosts(stage, options))
  if (name === 'callback') return addedRows(name, await measureCallbacks(stage, options))
  if (name === 'streams') {
    const { gateway, notify } = await measureStreams(stage, options)
    return [
      { scenario: name, subject: 'NOTIFY', rounds: notify, base: [] },
      { scenario: name, subject: 'gateway', rounds: gateway, base: notify },
    ]
  }
  if (name === 'start') {
    const { pglite, embedded, postgres } = await measureStarts(stage, options)
    return [
      { scenario: name, subject: 'Node and PGlite', rounds: pglite, base: [] },
      { scenario: name, subject: 'gateway, embedded', rounds: embedded, base: pglite },
      { scenario: name, subject: 'gateway, PostgreSQL', rounds: postgres, base: pglite },
    ]
  }
  if (name === 'idle') {
    const { embedded, postgres } = await measureIdle(stage)
    return [
      { scenario: name, subject: 'gateway, embedded', rounds: embedded, base: [] },
      { scenario: name, subject: 'gateway, PostgreSQL', rounds: postgres, base: [] },
    ]
  }
  const rounds =
    name === 'embedded'
      ? await measureEmbedded(stage, options)
      : await measureRequests(stage, requestScenarios[name], options)
  const base = rounds.get('limit') ?? []
  return [...rounds].map(([subject, figures]) => ({
    scenario: name,
    subject,
    rounds: figures,
    base: subject === 'limit' ? [] : base,
  }))
}

function addedRows(scenario: ScenarioName, { gateway, bare }: AddedRounds): Row[] {
  return [
    { scenario, subject: 'INSERT and UPDATE', rounds: bare, base: [] },
    { scenario, subject: 'gateway, added', rounds: gateway, base: bare },
  ]
}
