// The main scenario: many connections in constant use at all processes, while faults strike; then
// recovery, and the check of the invariants.

import { connectAccounts } from './accounts.ts'
import { openArena } from './arena.ts'
import { startCallers } from './callers.ts'
import type { Pace } from './fast-timing.ts'
import { startFollowers } from './followers.ts'
import { judge, type Verdict } from './history.ts'
import { type FaultKind, type Plan, plantDistance, runNemesis, type Strikes } from './nemesis.ts'
import type { Randomness } from './randomness.ts'
import { recover, waitForDoubts } from './recovery.ts'
import { takeSnapshot } from './snapshot.ts'
import { watchTransactions } from './transactions.ts'

export type RefreshScenario = {
  processes: number
  accounts: number
  callers: number
  faults: readonly FaultKind[]
  plan: Plan
  pace: Pace
  /** How long to wait for tweets in doubt; by default not at all. */
  settleSeconds?: number
}

export type Outcome = Verdict & {
  seconds: number
  strikes: Strikes
  recoverySeconds: number
  longestTransactionMilliseconds: number
}

/** Runs the scenario in its own arena. */
export async function runRefreshScenario(scenario: RefreshScenario, random: Randomness): Promise<Outcome> {
  await using arena = await openArena({ processes: scenario.processes, pace: scenario.pace, random })
  await arena.fleet.startAll()
  const accounts = await connectAccounts(arena, scenario.accounts)
  plantDistance(arena)
  const before = await takeSnapshot(arena, accounts)
  const followers = await startFollowers(arena, accounts)
  const startedAt = performance.now()
  const transactions = watchTransactions(arena)
  const callers = startCallers(arena, accounts, scenario.callers)
  const strikes = await runNemesis(arena, scenario.faults, scenario.plan)
  const seconds = (performance.now() - startedAt) / 1000
  await callers.stop()
  const recovery = await recover(arena, accounts, { refreshed: true })
  const longestTransactionMilliseconds = await transactions.stop()
  await waitForDoubts(arena, scenario.settleSeconds ?? 0)
  const verdict = await judge(arena, before, recovery.after, [...callers.posts, ...recovery.posts])
  for (const fault of await followers.stop()) verdict.broken.push(`(i) ${fault}`)
  for (const { account } of recovery.late)
    verdict.broken.push(`(g) @${account.username} did not refresh within two lease times after the last fault.`)
  return { ...verdict, seconds, strikes, recoverySeconds: recovery.seconds, longestTransactionMilliseconds }
}
