import type { LineFilter } from '../telemetry/log.ts'
import { isErrorOfDatabase } from './outage.ts'

// An outage has ended when no line of it has come for this long.
const QUIET_SECONDS = 30
const EVERY_SECONDS = 10
// The sentences of the program; those with a name in them could be many.
const MAX_SENTENCES = 20

/**
 * Makes the lines about a database that is away rare: every query of every loop fails then. Each
 * sentence is logged once, and afterwards one line in ten seconds, with the number of those that were
 * left out (`leftOut`) and the beginning of the outage (`awaySince`).
 * @param now the process's clock, in milliseconds.
 */
export function createOutageFilter(now: () => number = Date.now): LineFilter {
  const told = new Set<string>()
  let awaySince = 0
  let lastAt = Number.NEGATIVE_INFINITY
  let nextAt = 0
  let leftOut = 0
  return (error, sentence) => {
    if (!isErrorOfDatabase(error)) return {}
    const at = now()
    if (at - lastAt > QUIET_SECONDS * 1000) {
      told.clear()
      awaySince = at
      leftOut = 0
    }
    lastAt = at
    const isNew = !told.has(sentence) && told.size < MAX_SENTENCES
    if (!isNew && at < nextAt) {
      leftOut += 1
      return null
    }
    if (isNew) told.add(sentence)
    nextAt = at + EVERY_SECONDS * 1000
    const since = { awaySince: new Date(awaySince).toISOString(), ...(leftOut > 0 && { leftOut }) }
    leftOut = 0
    return since
  }
}
