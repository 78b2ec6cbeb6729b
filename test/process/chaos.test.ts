/**
 * The chaos runs of `npm run chaos`, bounded to about a minute: every kind of fault at least once, and no invariant of
 * reliability.md, section 4, may break. The figures that take longer are the command's.
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

// A new one each time finds more; the one that found something is printed.
const seed = Date.now() % 1_000_000
const LIMIT_MILLISECONDS = 900_000

test('no token is sent twice and no link dies in silence, whatever is killed, stalled, restarted, dropped or refused', {
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

test('no tweet is posted twice or reported wrongly, while answers are lost and processes killed', {
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

test('the embedded database keeps what it acknowledged through kill -9, and lets nobody else in', {
  timeout: LIMIT_MILLISECONDS,
}, async () => {
  const figures = await runPgliteKills({ rounds: 3 }, createRandomness(seed))
  console.log(renderFigures(figures))
  expect(figures.filter(({ reached }) => !reached)).toEqual([])
})

test('the long runs say what can be asked of them', async () => {
  const program = startProgram('test/stress/chaos/run.ts', {}, ['--help'])
  expect(await program.ended).toBe(0)
  for (const name of ['--faults', ...faultKinds, '--preset', ...Object.keys(presets)])
    expect(program.output()).toContain(name)
})
