// `npm run abuse`: slow, greedy and many clients against a real gateway, and a table of the
// results.
import { parseArgs } from 'node:util'
import { renderFigures } from '../chaos/table.ts'
import { type Abused, abuses, type Scale } from './abuses.ts'
import { renderAbused } from './table.ts'
import { startVictim } from './victim.ts'

// Of one user: the half year of a busy bot.
const HISTORY = 100_000

const USAGE = `npm run abuse -- [options]: a real gateway, and clients that are slow, greedy or many

  --only A,B        what is done: ${Object.keys(abuses).join(', ')} (all)
  --connections N   how many slow clients (500)
  --streams N       how many streams are asked for (1000)
  --documents N     how many distinct documents of the largest size (5000)
  --bodies N        how many bodies of 2 MB (400)
  --requests N      how many requests of a flood (2000)

It exits with 1 when a figure was not reached.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(abuses).join() },
    connections: { type: 'string', default: '500' },
    streams: { type: 'string', default: '1000' },
    documents: { type: 'string', default: '5000' },
    bodies: { type: 'string', default: '400' },
    requests: { type: 'string', default: '2000' },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
const scale: Scale = {
  connections: Number(values.connections),
  streams: Number(values.streams),
  documents: Number(values.documents),
  bodies: Number(values.bodies),
  requests: Number(values.requests),
}
const wanted = values.only.split(',').map((name) => name.trim())
for (const name of wanted)
  if (!(name in abuses)) throw new Error(`There is no ${name}, only ${Object.keys(abuses).join(', ')}.`)
const results: Abused[] = []
// Five streams for each user.
await using victim = await startVictim(Math.ceil(scale.streams / 5), HISTORY)
for (const [name, abuse] of Object.entries(abuses)) {
  if (!wanted.includes(name)) continue
  console.log(`${name} …`)
  results.push({ name, ...(await abuse(victim, scale)) })
}
const figures = results.flatMap(({ name, figures }) =>
  figures.map((figure) => ({ ...figure, what: `${name}: ${figure.what}` })),
)
console.log(`\n${renderAbused(results)}\n\n${renderFigures(figures)}`)
process.exitCode = figures.every(({ reached }) => reached) ? 0 : 1
