import type { Log } from './log.ts'

const WINDOW_MILLISECONDS = 3_600_000

/**
 * Creates a warning that anonymous requests can cause and that therefore must not fill the log: one
 * line per hour and key, for a limited number of keys. The first line after that hour has the
 * number of suppressed ones (`leftOut`).
 * @param keys the number of different keys per hour.
 * @param now a monotonic clock, in milliseconds.
 */
export function createRareWarning(
  log: Log,
  message: string,
  { keys, now = () => performance.now() }: { keys: number; now?: () => number },
): (key: string, fields: Record<string, unknown>) => void {
  let until = 0
  let leftOut = 0
  const logged = new Set<string>()
  return (key, fields) => {
    if (now() >= until) logged.clear()
    if (logged.has(key) || logged.size >= keys) {
      leftOut += 1
      return
    }
    if (logged.size === 0) until = now() + WINDOW_MILLISECONDS
    logged.add(key)
    log.warn({ ...fields, ...(leftOut > 0 && { leftOut }) }, message)
    leftOut = 0
  }
}
