// The main scenario: many links in constant use at all processes, while faults strike; then peace, recovery, and judgement.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Arena } from './arena.ts'
import { openArena } from './arena.ts'
import { type Post, postWithEach, startCallers } from './callers.ts'
import type { Pace } from './fast-timing.ts'
import { judge, type Verdict } from './history.ts'
import { type Link, linkAccounts } from './links.ts'
import { type FaultKind, type Plan, plantDistance, runNemesis, type Strikes } from './nemesis.ts'
import type { Randomness } from './randomness.ts'
import { isSettled, type LinkView, takeSnapshot } from './snapshot.ts'
import { watchTransactions } from './transactions.ts'

export type RotationScenario = {
  processes: number
  links: number
  callers: number
  faults: readonly FaultKind[]
  plan: Plan
  pace: Pace
}

export type Outcome = Verdict & {
  seconds: number
  strikes: Strikes
  recoverySeconds: number
  longestTransactionMs: number
}

const SETTLE_POLL_MS = 100

/** Runs the scenario in an arena of its own. */
export async function runRotationScenario(scenario: RotationScenario, random: Randomness): Promise<Outcome> {
  await using arena = await openArena({ processes: scenario.processes, pace: scenario.pace, random })
  await arena.fleet.startAll()
  const links = await linkAccounts(arena, scenario.links)
  plantDistance(arena)
  const before = await takeSnapshot(arena, links)
  const startedAt = performance.now()
  const transactions = watchTransactions(arena)
  const callers = startCallers(arena, links, scenario.callers)
  const strikes = await runNemesis(arena, scenario.faults, scenario.plan)
  const seconds = (performance.now() - startedAt) / 1000
  await callers.stop()
  const recovery = await recover(arena, links)
  const longestTransactionMs = await transactions.stop()
  const verdict = await judge(arena, before, recovery.after, [...callers.posts, ...recovery.posts])
  for (const { link } of recovery.late)
    verdict.broken.push(`(g) @${link.username} did not refresh within two lease times after the last fault.`)
  return { ...verdict, seconds, strikes, recoverySeconds: recovery.seconds, longestTransactionMs }
}

type Recovery = { seconds: number; posts: Post[]; late: LinkView[]; after: LinkView[] }

/** Uses each link until it has refreshed once more or its user has been told, for up to two lease times. */
export async function recover(arena: Arena, links: readonly Link[]): Promise<Recovery> {
  const startedAt = performance.now()
  const limit = arena.pace.timing.lease * 2
  const then = new Map((await takeSnapshot(arena, links)).map((view) => [view.link, view.version]))
  const posts: Post[] = []
  for (;;) {
    const after = await takeSnapshot(arena, links)
    const late = after.filter(
      (view) => !isSettled(view) || (view.status !== 'NEEDS_REAUTH' && view.version <= (then.get(view.link) ?? 0)),
    )
    const seconds = (performance.now() - startedAt) / 1000
    if (late.length === 0 || seconds > limit) return { seconds, posts, late, after }
    posts.push(
      ...(await postWithEach(
        arena,
        late.map(({ link }) => link),
        'recovery',
      )),
    )
    await sleep(SETTLE_POLL_MS)
  }
}
