// The scenarios by name, each with the project's targets. They take minutes; bounded ones run as a
// test.
import { runCrowd } from './crowd.ts'
import { fastPace, productionLeasePace, productionPace } from './fast-timing.ts'
import { exactly, type Figure } from './figures.ts'
import { runHangingX } from './hanging-x.ts'
import { runJointStart } from './joint-start.ts'
import { runPgliteKills } from './pglite-kills.ts'
import { runPostStorm } from './post-storm.ts'
import type { Randomness } from './randomness.ts'
import { type Outcome, type RefreshScenario, runRefreshScenario } from './refresh-scenario.ts'

/** The result of a preset. */
export type PresetResult = {
  outcome?: Outcome
  statuses?: Record<string, number>
  figures: Figure[]
  broken: string[]
}

type Preset = (random: Randomness) => Promise<PresetResult>

const LOAD = { processes: 4, accounts: 60, callers: 16, pace: fastPace }
const NO_END = 3_600
const TWO_MINUTES = 120

/** All presets, in the order of a whole run. */
export const presets: Record<string, Preset> = {
  lease: refreshScenario({ ...LOAD, processes: 8, faults: [], plan: { seconds: 60 } }),
  kill: refreshScenario({ ...LOAD, faults: ['kill'], plan: { seconds: 60 } }),
  drop: refreshScenario({ ...LOAD, faults: ['kill', 'drop', '503'], plan: { seconds: 60 } }),
  term: refreshScenario({ ...LOAD, faults: ['term'], plan: { seconds: NO_END, times: 100 } }, true),
  db: refreshScenario({ ...LOAD, faults: ['db'], plan: { seconds: NO_END, times: 10 } }, true),
  stop: refreshScenario(
    { ...LOAD, pace: productionLeasePace, faults: ['stop'], plan: { seconds: NO_END, times: 50 } },
    true,
  ),
  crowd: figures((random) => runCrowd({ processes: 8, callers: 500 }, random)),
  posts: async (random) => {
    const storm = { posts: 5_000, processes: 3, accounts: 400, callers: 16, pace: productionPace, settleSeconds: 600 }
    const { verdict, figures } = await runPostStorm(storm, random)
    return { statuses: verdict.statuses, figures, broken: verdict.broken }
  },
  hang: figures((random) => runHangingX({ processes: 3, count: 200 }, random)),
  start: figures((random) => runJointStart({ processes: 16 }, random)),
  pglite: figures((random) => runPgliteKills({ rounds: 200 }, random)),
}

function refreshScenario(scenario: RefreshScenario, nothingMayBeLost = false): Preset {
  return async (random) => {
    const outcome = await runRefreshScenario({ ...scenario, settleSeconds: TWO_MINUTES }, random)
    const strikes = Object.entries(outcome.strikes).flatMap(([kind, times]) => (times > 0 ? [`${times} ${kind}`] : []))
    const lost = exactly(`${strikes.join(', ')}: connections lost`, 0, outcome.lost)
    return { outcome, statuses: outcome.statuses, figures: nothingMayBeLost ? [lost] : [], broken: outcome.broken }
  }
}

function figures(run: (random: Randomness) => Promise<Figure[]>): Preset {
  return async (random) => ({ figures: await run(random), broken: [] })
}
