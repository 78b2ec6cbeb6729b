// `npm run chaos`: injects faults into real gateways, and prints tables of the results. Exits with
// 1 if an invariant broke or a target was not reached. Runs one scenario given by --seconds,
// --processes and --faults, or the presets of --preset.
import { parseArgs } from 'node:util'
import { fastPace } from './fast-timing.ts'
import { faultKinds } from './nemesis.ts'
import { type PresetResult, presets } from './presets.ts'
import { createRandomness } from './randomness.ts'
import { runRefreshScenario } from './refresh-scenario.ts'
import { renderFigures, renderOutcomes, renderStatuses } from './table.ts'

const USAGE = `npm run chaos -- [options]: real gateways, killed and starved, held against their promises

  --seconds N       how long the faults strike (60)
  --processes P     how many gateways (4)
  --faults A,B      what strikes: ${faultKinds.join(', ')} (nothing)
  --accounts N      how many connected accounts (60)
  --callers N       how many callers at once (16)
  --preset NAMES    instead of the above, or all: ${Object.keys(presets).join(', ')}
  --seed N          makes the same choices again

It exits with 1 when an invariant broke or a figure was not reached.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '60' },
    processes: { type: 'string', default: '4' },
    faults: { type: 'string', default: '' },
    accounts: { type: 'string', default: '60' },
    callers: { type: 'string', default: '16' },
    preset: { type: 'string', default: '' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
console.log(`Seed ${values.seed}: --seed ${values.seed} makes the same choices again.`)
const names = values.preset === 'all' ? Object.keys(presets) : split(values.preset)
const results: { name: string; result: PresetResult }[] = []
if (names.length === 0) {
  const faults = split(values.faults).map(readFault)
  const result = await runOwn(faults)
  report(faults.join(' + ') || 'lease', result)
}
for (const name of names) {
  const preset = presets[name]
  if (preset === undefined) throw new Error(`There is no preset ${name}, only ${Object.keys(presets).join(', ')}.`)
  console.log(`\n${name} …`)
  report(name, await preset(createRandomness(Number(values.seed))))
}
if (results.length > 1) console.log(`\n${renderAll()}`)
process.exitCode = results.some(({ result }) => isBad(result)) ? 1 : 0

async function runOwn(faults: ReturnType<typeof readFault>[]): Promise<PresetResult> {
  const outcome = await runRefreshScenario(
    {
      processes: Number(values.processes),
      accounts: Number(values.accounts),
      callers: Number(values.callers),
      faults,
      plan: { seconds: Number(values.seconds) },
      pace: fastPace,
      settleSeconds: 120,
    },
    createRandomness(Number(values.seed)),
  )
  return { outcome, statuses: outcome.statuses, figures: [], broken: outcome.broken }
}

function report(name: string, result: PresetResult): void {
  results.push({ name, result })
  if (result.outcome) console.log(renderOutcomes([{ name, outcome: result.outcome }]))
  if (result.statuses) console.log(`Posts: ${renderStatuses(result.statuses)}`)
  if (result.figures.length > 0) console.log(renderFigures(result.figures))
  for (const sentence of result.broken) console.log(`BROKEN ${sentence}`)
}

function renderAll(): string {
  const outcomes = results.flatMap(({ name, result }) => (result.outcome ? [{ name, outcome: result.outcome }] : []))
  const figures = results.flatMap(({ result }) => result.figures)
  return `${renderOutcomes(outcomes)}\n\n${renderFigures(figures)}`
}

function isBad({ broken, figures }: PresetResult): boolean {
  return broken.length > 0 || figures.some(({ reached }) => !reached)
}

function readFault(name: string) {
  const kind = faultKinds.find((known) => known === name)
  if (kind === undefined) throw new Error(`There is no fault ${name}, only ${faultKinds.join(', ')}.`)
  return kind
}

function split(list: string): string[] {
  return list.split(',').filter((name) => name !== '')
}
