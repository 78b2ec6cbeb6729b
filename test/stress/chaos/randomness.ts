/**
 * Reproducible randomness: the same seed makes the same choices, as far as the machine's timing
 * allows.
 */
export type Randomness = {
  seed: number
  /** Returns a number from 0 up to, but not including, 1. */
  next(): number
  between(low: number, high: number): number
  pick<T>(choices: readonly T[]): T
}

export function createRandomness(seed: number): Randomness {
  let state = seed >>> 0
  // mulberry32: 32 bits of state are enough to choose victims and pauses.
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    seed,
    next,
    between: (low, high) => low + (high - low) * next(),
    pick: (choices) => {
      const choice = choices[Math.floor(next() * choices.length)]
      if (choice === undefined) throw new Error('Bug: there is nothing to pick from')
      return choice
    },
  }
}
