/** The sandbox's own time: every expiry, window, created_at and Date header follows it, so that a test never has to wait. */
export type Clock = {
  now(): number
  advance(seconds: number): void
  setOffset(seconds: number): void
  offsetSeconds(): number
  /** Stands still, moved only by `advance` and `setOffset`, or runs again. */
  freeze(frozen: boolean): void
}

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
