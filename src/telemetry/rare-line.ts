import type { Log } from './log.ts'

/** Logs a line, or counts it. @param key lines with one key are alike. */
export type RareLine = (key: string, fields: Record<string, unknown>) => void

/**
 * Creates a function that logs what many requests can cause and that therefore must not fill the
 * log: one line per window and key, for a limited number of keys. The first line after a window has
 * the number of suppressed ones (`leftOut`).
 * @param keys the number of different keys per window.
 * @param windowSeconds an hour unless given.
 * @param now a monotonic clock, in milliseconds.
 */
export function createRareLine(
  log: Log,
  message: string,
  {
    keys,
    level = 'warn',
    windowSeconds = 3600,
    now = () => performance.now(),
  }: { keys: number; level?: 'info' | 'warn' | 'error'; windowSeconds?: number; now?: () => number },
): RareLine {
  let until = 0
  let leftOut = 0
  const logged = new Set<string>()
  return (key, fields) => {
    if (now() >= until) logged.clear()
    if (logged.has(key) || logged.size >= keys) {
      leftOut += 1
      return
    }
    if (logged.size === 0) until = now() + windowSeconds * 1000
    logged.add(key)
    log[level]({ ...fields, ...(leftOut > 0 && { leftOut }) }, message)
    leftOut = 0
  }
}
