import { openArena } from './arena.ts'
import { productionPace } from './fast-timing.ts'
import { exactly, type Figure } from './figures.ts'
import type { Randomness } from './randomness.ts'

/** Starts this number of instances at the same moment on an empty database. */
export async function runJointStart({ processes }: { processes: number }, random: Randomness): Promise<Figure[]> {
  await using arena = await openArena({ processes, pace: productionPace, random })
  await arena.fleet.startAll()
  const ready = await Promise.all(
    arena.fleet.slots.map(({ url }) => fetch(`${url}/readyz`).then(({ status }) => status)),
  )
  const what = `${processes} instances started at once on an empty database`
  return [
    exactly(`${what}: failures`, 0, arena.fleet.counts.failedStarts),
    exactly(`${what}: ready`, processes, ready.filter((status) => status === 200).length),
  ]
}
