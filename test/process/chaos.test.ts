/**
 * Bounded runs of `npm run chaos`, about a minute each: every kind of fault at least once, without
 * a broken invariant (stress/chaos/history.ts). The command runs
 * longer scenarios.
 */
import { expect, test } from 'vitest'
import { fastPace } from '../stress/chaos/fast-timing.ts'
import { faultKinds } from '../stress/chaos/nemesis.ts'
import { runPgliteKills } from '../stress/chaos/pglite-kills.ts'
import { runPostStorm } from '../stress/chaos/post-storm.ts'
import { presets } from '../stress/chaos/presets.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { runRefreshScenario } from '../stress/chaos/refresh-scenario.ts'
import { renderFigures, renderOutcomes, renderStatuses } from '../stress/chaos/table.ts'
import { startProgram } from '../support/program.ts'

// A new seed each time finds more; a failure prints its seed.
const seed = Date.now() % 1_000_000
const LIMIT_MILLISECONDS = 900_000

test('sends no refresh token twice and loses no connection silently while processes, database and X fail', {
  timeout: LIMIT_MILLISECONDS,
}, async () => {
  const outcome = await runRefreshScenario(
    { processes: 3, accounts: 24, callers: 8, faults: faultKinds, plan: { seconds: 60, times: 2 }, pace: fastPace },
    createRandomness(seed),
  )
  console.log(`Seed ${seed}\n${renderOutcomes([{ name: 'all faults', outcome }])}`)
  expect(outcome.broken).toEqual([])
  expect(outcome.silentlyDead).toBe(0)
  expect(outcome.lostAndDetected).toBe(outcome.lost)
  expect(outcome.refreshes).toBeGreaterThan(outcome.lost)
  const { kill, stop, term, db } = outcome.strikes
  expect(Math.min(kill, stop, term, db), JSON.stringify(outcome.strikes)).toBeGreaterThan(0)
})

test('posts no tweet twice and reports none wrongly while responses are lost and processes are killed', {
  timeout: LIMIT_MILLISECONDS,
}, async () => {
  const { verdict } = await runPostStorm(
    { posts: 300, processes: 2, accounts: 12, callers: 8, pace: fastPace, settleSeconds: 0 },
    createRandomness(seed),
  )
  console.log(`Seed ${seed}\n${verdict.tweets} tweets; posts: ${renderStatuses(verdict.statuses)}`)
  expect(verdict.broken).toEqual([])
  expect(verdict.tweetsPerKey).toBe(1)
})

test('the embedded database keeps acknowledged rows through kill -9, and refuses a second process', {
  timeout: LIMIT_MILLISECONDS,
}, async () => {
  const figures = await runPgliteKills({ rounds: 3 }, createRandomness(seed))
  console.log(renderFigures(figures))
  expect(figures.filter(({ reached }) => !reached)).toEqual([])
})

test('shows the usage of the command', async () => {
  const program = startProgram('test/stress/chaos/run.ts', {}, ['--help'])
  expect(await program.ended).toBe(0)
  for (const name of ['--faults', ...faultKinds, '--preset', ...Object.keys(presets)])
    expect(program.output()).toContain(name)
})
