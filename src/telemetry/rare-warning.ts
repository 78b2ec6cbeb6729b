import type { Log } from './log.ts'

const WINDOW_MILLISECONDS = 3_600_000

/**
 * Makes a warning that strangers can cause, and therefore must not fill the log: one line an hour for each key, and for a few keys. The
 * first line after that hour says how many were left out (`leftOut`).
 * @param keys for how many different keys an hour.
 * @param now milliseconds of a clock that never goes back.
 */
export function createRareWarning(
  log: Log,
  message: string,
  { keys, now = () => performance.now() }: { keys: number; now?: () => number },
): (key: string, fields: Record<string, unknown>) => void {
  let until = 0
  let leftOut = 0
  const told = new Set<string>()
  return (key, fields) => {
    if (now() >= until) told.clear()
    if (told.has(key) || told.size >= keys) {
      leftOut += 1
      return
    }
    if (told.size === 0) until = now() + WINDOW_MILLISECONDS
    told.add(key)
    log.warn({ ...fields, ...(leftOut > 0 && { leftOut }) }, message)
    leftOut = 0
  }
}
