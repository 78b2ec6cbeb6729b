// `npm run chaos`: faults against real gateways, and a table of what came of it. Exits with 1 when an invariant broke.
import { parseArgs } from 'node:util'
import { fastPace } from './fast-timing.ts'
import { faultKinds } from './nemesis.ts'
import { createRandomness } from './randomness.ts'
import { runRotationScenario } from './rotation-scenario.ts'
import { renderStatuses, renderTable } from './table.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    processes: { type: 'string', default: '4' },
    faults: { type: 'string', default: '' },
    links: { type: 'string', default: '60' },
    callers: { type: 'string', default: '24' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const faults = faultKinds.filter((kind) => values.faults.split(',').includes(kind))
console.log(`Seed ${values.seed}: --seed ${values.seed} repeats it.`)
const outcome = await runRotationScenario(
  {
    processes: Number(values.processes),
    links: Number(values.links),
    callers: Number(values.callers),
    faults,
    plan: { seconds: Number(values.seconds) },
    pace: fastPace,
  },
  createRandomness(Number(values.seed)),
)
console.log(renderTable([{ name: faults.join(' + ') || 'lease', outcome }]))
console.log(`Posts: ${renderStatuses(outcome.statuses)}`)
for (const sentence of outcome.broken) console.log(`BROKEN ${sentence}`)
process.exitCode = outcome.broken.length > 0 ? 1 : 0
