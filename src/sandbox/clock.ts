/**
 * The clock of the sandbox. Every expiry, window, created_at and Date header follows it, so that no
 * test has to wait.
 */
export type Clock = {
  now(): number
  advance(seconds: number): void
  setOffset(seconds: number): void
  offsetSeconds(): number
  /** Stops the clock, which then only `advance` and `setOffset` move, or starts it again. */
  freeze(frozen: boolean): void
}

/** Creates a running clock with this offset from the system's. */
export function createClock(initialOffsetSeconds: number): Clock {
  let offsetSeconds = initialOffsetSeconds
  let frozenAt: number | null = null
  return {
    now: () => (frozenAt ?? Date.now()) + offsetSeconds * 1000,
    advance: (seconds) => {
      offsetSeconds += seconds
    },
    setOffset: (seconds) => {
      offsetSeconds = seconds
    },
    offsetSeconds: () => offsetSeconds,
    freeze: (frozen) => {
      frozenAt = frozen ? Date.now() : null
    },
  }
}
