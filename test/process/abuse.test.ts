// A bounded run of `npm run abuse`: counts here, the figures that depend on the machine by the
// command.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { abuses } from '../stress/abuse/abuses.ts'
import { limitedAbuses } from '../stress/abuse/limited.ts'
import { startVictim, type Victim } from '../stress/abuse/victim.ts'
import type { Figure } from '../stress/chaos/figures.ts'
import { startProgram } from '../support/program.ts'

const size = { people: 8, history: 5_000, tweets: 3_000, database: 'pglite' } as const
const scale = { connections: 60, streams: 40, documents: 1_000, bodies: 20, requests: 200 }

// The figures that depend on the machine are those of the command.
const isCountMissed = ({ what, reached }: Figure) =>
  !reached && !/memory|to the quiet one|to that beside|processor|seconds/.test(what)

let victim: Victim
beforeAll(async () => {
  victim = await startVictim({ ...size, limits: 'off' })
})
afterAll(() => victim[Symbol.asyncDispose]())

test.each([
  ['G-14 slow headers are cut off while others are served', 'slow headers'],
  ['G-14 slow bodies are cut off while others are served', 'slow bodies'],
  ['G-04 bodies of 2 MB are refused while others are served, with their length named or not', 'large bodies'],
  ['G-12 streams are idle while others are served', 'idle streams'],
  ['G-17 introspections that multiply the schema are refused while others are served', 'introspection'],
  ['G-16 the largest asset is sent again and again while others are served', 'assets'],
  ['G-18 readiness is asked again and again while others are served', 'readiness'],
  ['G-23 made-up cookies are looked up without a rate limit while others are served', 'made-up cookies'],
  ['W-05 receivers never respond while the webhooks of others arrive', 'tarpits'],
] as const)('%s', async (_title, name) => {
  const { service, figures } = await abuses[name](victim, scale)
  expect(service.asked).toBeGreaterThan(0)
  expect(figures.filter(isCountMissed)).toEqual([])
})

test('G-07 does not keep distinct documents of the largest size in memory', async () => {
  // In Yoga's cache these would take 130 MB.
  const { figures } = await abuses['largest documents'](victim, scale)
  expect(figures.filter(({ reached }) => !reached)).toEqual([])
})

// After the measurement of memory: they fill the database, which is in the memory of the process.
test.each([
  ['G-32 events are recorded in floods while others are served', 'event floods'],
  ['G-31 a long history is searched while others are served', 'history scans'],
] as const)('%s', async (_title, name) => {
  const { service, figures } = await abuses[name](victim, scale)
  expect(service.asked).toBeGreaterThan(0)
  expect(figures.filter(isCountMissed)).toEqual([])
})

test('neighbours are served beside floods that the rate limits as shipped refuse, and beside a large deletion', {
  timeout: 240_000,
}, async () => {
  await using limited = await startVictim({ ...size, limits: 'shipped' })
  for (const [name, abuse] of Object.entries(limitedAbuses)) {
    if (name.startsWith('unread')) continue
    const { service, figures } = await abuse(limited, scale)
    expect(service.asked).toBeGreaterThan(0)
    expect({ name, missed: figures.filter(isCountMissed) }).toEqual({ name, missed: [] })
  }
})

test('shows the usage of the command', async () => {
  const program = startProgram('test/stress/abuse/run.ts', {}, ['--help'])
  expect(await program.ended).toBe(0)
  for (const name of ['--only', '--connections', ...Object.keys(abuses), ...Object.keys(limitedAbuses)])
    expect(program.output()).toContain(name)
})
