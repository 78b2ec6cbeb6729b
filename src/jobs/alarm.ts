/** The time at which a loop has to look again, and its sleep until then. */
export type Alarm = {
  /** True when the time has come. It is then unset. */
  takeDue(): boolean
  /** Sets the time to `seconds` from now, unless it is set to an earlier one. */
  setIn(seconds: number): void
  /** Ends the current sleep, or the next one if there is none. */
  ring(): void
  /** Sleeps until the time has come, or until `ring`. */
  wait(): Promise<void>
}

/** Creates an alarm that is due at once. */
export function createAlarm(): Alarm {
  let dueAt = performance.now()
  let hasRung = false
  let wakeUp: (() => void) | null = null
  let timer: NodeJS.Timeout | undefined
  const arm = () => {
    clearTimeout(timer)
    if (wakeUp !== null && dueAt !== Number.POSITIVE_INFINITY)
      timer = setTimeout(wakeUp, Math.max(dueAt - performance.now(), 0))
  }
  return {
    takeDue: () => {
      if (performance.now() < dueAt) return false
      dueAt = Number.POSITIVE_INFINITY
      return true
    },
    setIn: (seconds) => {
      dueAt = Math.min(dueAt, performance.now() + seconds * 1000)
      arm()
    },
    ring: () => {
      hasRung = true
      wakeUp?.()
    },
    wait: async () => {
      if (!hasRung) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wakeUp = resolve
        arm()
        await promise
        clearTimeout(timer)
        wakeUp = null
      }
      hasRung = false
    },
  }
}
