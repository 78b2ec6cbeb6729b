// `npm run bench -- growth`: a large database beside a small one, on one PostgreSQL.
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { runGrowth } from './growth.ts'

const USAGE = `npm run bench -- growth [options]: a large database beside a small one, on one PostgreSQL

  --connections N   connected accounts of the large database (1000000)
  --tweets N        its tweets (3000000)
  --events N        its events (2000000)
  --beside N        connected accounts of the small database, with as many tweets and events for each (1000)
  --rounds N        how often each figure is measured, in turns; the median is printed (5)
  --seconds N       how long each rate is measured (5)
  --streams N       open event streams of one instance (10000)`

/** Runs the command with these arguments, which follow its name. */
export async function runGrowthCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', default: false },
      connections: { type: 'string', default: '1000000' },
      tweets: { type: 'string', default: '3000000' },
      events: { type: 'string', default: '2000000' },
      beside: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      streams: { type: 'string', default: '10000' },
    },
  })
  if (values.help) return console.log(USAGE)
  // The database belongs on a disk, where a commit waits, and not on a RAM disk as in the tests.
  process.env.TMPDIR ??= tmpdir()
  const table = await runGrowth({
    large: { connections: Number(values.connections), tweets: Number(values.tweets), events: Number(values.events) },
    smallConnections: Number(values.beside),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    streams: Number(values.streams),
  })
  console.log(`\n${table}`)
}
