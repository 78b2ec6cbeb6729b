// The embedded database under kill -9: acknowledged rows survive, and a second process is refused
// meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { GraphQLClient } from 'graphql-request'
import { readOperation } from '../../support/operations.ts'
import { type ChaosAccount, connectAccounts } from './accounts.ts'
import { type Post, type PostResult, startCallers } from './callers.ts'
import { productionPace } from './fast-timing.ts'
import { atMost, exactly, type Figure } from './figures.ts'
import type { Randomness } from './randomness.ts'
import { openStage, type Stage } from './stage.ts'

const CALLERS = 6
// Some are killed when idle, others under load.
const MOST_BEFORE_KILL = 30
const POLL_MILLISECONDS = 5

export async function runPgliteKills({ rounds }: { rounds: number }, random: Randomness): Promise<Figure[]> {
  await using stage = await openStage({ processes: 2, pace: productionPace, random }, null)
  // The second gateway has the same directory, and must always be refused.
  const [slot, intruder] = stage.fleet.slots
  if (slot === undefined || intruder === undefined) throw new Error('Bug: two processes were asked for')
  await stage.fleet.start(slot)
  const accounts = await connectAccounts(stage, 1)
  const refusal = await stage.fleet.startRefused(intruder)
  const callers = startCallers(stage, accounts, CALLERS, { slots: [slot] })
  for (let round = 0; round < rounds; round++) {
    const enough = countPosted(callers.posts) + random.between(1, MOST_BEFORE_KILL)
    while (countPosted(callers.posts) < enough) await sleep(POLL_MILLISECONDS)
    await stage.fleet.kill(slot)
    await stage.fleet.start(slot)
  }
  await callers.stop()
  const acknowledged = callers.posts.flatMap(({ result }) => (isPosted(result) ? [result.id] : []))
  const missing = await countMissing(stage, accounts, acknowledged)
  return [
    exactly(`${rounds} kill -9 on PGlite: lost of ${acknowledged.length} acknowledged rows`, 0, missing),
    exactly(`${rounds} kill -9 on PGlite: tweets posted twice`, 0, countTwice(stage)),
    exactly(`${rounds} kill -9 on PGlite: failed starts`, 0, stage.fleet.counts.failedStarts),
    atMost('A second process on the directory: seconds until it is refused', 1, refusal.seconds),
    exactly('A second process on the directory: exit code', 1, refusal.exitCode ?? -1),
  ]
}

async function countMissing(stage: Stage, [account]: readonly ChaosAccount[], ids: readonly string[]): Promise<number> {
  const client = new GraphQLClient(`${stage.publicUrl}/graphql`, {
    headers: { cookie: account?.cookie ?? '', 'sec-fetch-site': 'same-origin' },
  })
  const document = readOperation('tweet')
  let missing = 0
  for (const id of ids) {
    const { tweet } = await client.request<{ tweet: { status: string } | null }>(document, { tweetId: id })
    if (tweet?.status !== 'POSTED') missing += 1
  }
  return missing
}

function countPosted(posts: readonly Post[]): number {
  return posts.filter(({ result }) => isPosted(result)).length
}

function isPosted(result: PostResult): result is PostResult & { kind: 'tweet' } {
  return result.kind === 'tweet' && result.status === 'POSTED'
}

function countTwice({ sandbox }: Stage): number {
  const texts = sandbox.control.tweets().map(({ sentText }) => sentText)
  return texts.length - new Set(texts).size
}
