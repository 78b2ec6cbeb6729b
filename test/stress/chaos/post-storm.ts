// Thousands of posts, while X drops and corrupts responses after it has acted, and processes are
// killed.
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultKind as SandboxFault } from '../../../src/sandbox/control/faults.ts'
import { connectAccounts } from './accounts.ts'
import { type Arena, openArena } from './arena.ts'
import { startCallers } from './callers.ts'
import type { Pace } from './fast-timing.ts'
import { atLeast, atMost, exactly, type Figure } from './figures.ts'
import { judge, type Verdict } from './history.ts'
import type { Randomness } from './randomness.ts'
import { recover, waitForDoubts } from './recovery.ts'
import { takeSnapshot } from './snapshot.ts'

export type PostStorm = {
  posts: number
  processes: number
  accounts: number
  callers: number
  pace: Pace
  /** How long to wait for tweets in doubt, after the last response. */
  settleSeconds: number
}

const KILL_EVERY_SECONDS = 2
const SHARE = 0.05
// X's real reset is a quarter of an hour away.
const SOON = { 'x-rate-limit-reset': '', 'retry-after': '1' }
const FAULTS: SandboxFault[] = [
  { kind: 'dropAfter' },
  { kind: 'problemAfter', name: 'service-unavailable' },
  { kind: 'problem', name: 'too-many-requests', headers: SOON },
]

export async function runPostStorm(
  storm: PostStorm,
  random: Randomness,
): Promise<{ verdict: Verdict; figures: Figure[] }> {
  await using arena = await openArena({ processes: storm.processes, pace: storm.pace, random })
  await arena.fleet.startAll()
  const accounts = await connectAccounts(arena, storm.accounts)
  const before = await takeSnapshot(arena, accounts)
  for (const fault of FAULTS)
    arena.sandbox.control.inject({
      ...fault,
      match: { method: 'POST', path: '/2/tweets' },
      probability: SHARE,
      times: null,
    })
  // At most as many for each account as X accepts: 100 in a quarter of an hour.
  const callers = startCallers(arena, accounts, storm.callers, { limit: storm.posts, hotShare: 0 })
  const over = new AbortController()
  const killing = killUntil(arena, over.signal)
  await callers.stop()
  over.abort()
  const kills = await killing
  arena.sandbox.control.clearFaults()
  await waitForDoubts(arena, storm.settleSeconds)
  // A process that was killed while it refreshed has left a lease, and versions that lag behind X's.
  const recovery = await recover(arena, accounts, { refreshed: false })
  const posts = [...callers.posts, ...recovery.posts]
  const verdict = await judge(arena, before, recovery.after, posts)
  for (const { account } of recovery.late)
    verdict.broken.push(
      `(g) @${account.username} had a lease or unconfirmed tokens two lease times after the last kill.`,
    )
  const settled = Object.entries(verdict.statuses).filter(([status]) => /^(POSTED|FAILED .*)$/.test(status))
  const share = (settled.reduce((sum, [, times]) => sum + times, 0) / posts.length) * 100
  const what = `${storm.posts} posts over ${storm.processes} processes, ${kills} kill -9`
  return {
    verdict,
    figures: [
      atMost(`${what}: tweets per key`, 1, verdict.tweetsPerKey),
      atLeast(`${what}: settled as POSTED or FAILED`, 99.9, share, ' %'),
      exactly(`${what}: settled wrongly`, 0, verdict.broken.length),
    ],
  }
}

async function killUntil({ fleet, random }: Arena, over: AbortSignal): Promise<number> {
  let kills = 0
  while (!over.aborted) {
    await sleep(KILL_EVERY_SECONDS * 1000, null, { signal: over }).catch(() => {})
    if (over.aborted) break
    const slot = random.pick(fleet.slots)
    await fleet.kill(slot)
    kills += 1
    await fleet.start(slot)
  }
  return kills
}
