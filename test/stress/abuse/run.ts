// `npm run abuse`: slow, greedy and many clients against a real gateway, and a table of the
// results.
import { parseArgs } from 'node:util'
import { renderFigures } from '../chaos/table.ts'
import { type Abused, abuses, type Scale } from './abuses.ts'
import { limitedAbuses } from './limited.ts'
import { renderAbused } from './table.ts'
import { startVictim } from './victim.ts'

const names = [...Object.keys(abuses), ...Object.keys(limitedAbuses)]

// Of one user: the half year of a busy bot.
const HISTORY = 100_000

const USAGE = `npm run abuse -- [options]: a real gateway, and clients that are slow, greedy or many

  --only 'A;B'      what is done: ${names.join('; ')} (all)
  --connections N   how many slow clients (500)
  --streams N       how many streams are asked for (1000)
  --documents N     how many distinct documents of the largest size (5000)
  --bodies N        how many bodies of 2 MB (400)
  --requests N      how many requests of a flood (2000)
  --tweets N        how many tweets the user has who is deleted (50000)
  --database KIND   pglite or postgres, which is started (pglite)

It exits with 1 when a figure was not reached.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    only: { type: 'string', default: names.join(';') },
    connections: { type: 'string', default: '500' },
    streams: { type: 'string', default: '1000' },
    documents: { type: 'string', default: '5000' },
    bodies: { type: 'string', default: '400' },
    requests: { type: 'string', default: '2000' },
    tweets: { type: 'string', default: '50000' },
    database: { type: 'string', default: 'pglite' },
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
const wanted = values.only.split(';').map((name) => name.trim())
for (const name of wanted) if (!names.includes(name)) throw new Error(`There is no ${name}, only ${names.join('; ')}.`)
const { database } = values
if (database !== 'pglite' && database !== 'postgres') throw new Error('--database is pglite or postgres')
// Five streams for each user.
const size = {
  database,
  people: Math.ceil(scale.streams / 5),
  history: HISTORY,
  tweets: Number(values.tweets),
} as const
const results: Abused[] = []

async function runAll(limits: 'off' | 'shipped', list: typeof abuses | typeof limitedAbuses): Promise<void> {
  const chosen = Object.entries(list).filter(([name]) => wanted.includes(name))
  if (chosen.length === 0) return
  await using victim = await startVictim({ ...size, limits })
  for (const [name, abuse] of chosen) {
    console.log(`${name} …`)
    results.push({ name, ...(await abuse(victim, scale)) })
  }
}

await runAll('off', abuses)
await runAll('shipped', limitedAbuses)
const figures = results.flatMap(({ name, figures }) =>
  figures.map((figure) => ({ ...figure, what: `${name}: ${figure.what}` })),
)
console.log(`\n${renderAbused(results)}\n\n${renderFigures(figures)}`)
process.exitCode = figures.every(({ reached }) => reached) ? 0 : 1
