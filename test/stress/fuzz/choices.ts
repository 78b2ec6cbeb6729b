// Choices derived from a list of bytes, so that fast-check can shrink an input: without bytes left,
// the first choice is taken.

export type Choices = {
  /** Returns a number from 0 up to, but not including, `count`. */
  below(count: number): number
  /** Returns true once in `times`. */
  oneIn(count: number): boolean
  pick<T>(options: readonly T[]): T
}

/** Reads choices from the bytes, one after the other. */
export function readChoices(bytes: Uint8Array): Choices {
  let position = 0
  const next = () => bytes[position++] ?? 0
  const below = (count: number) => (count <= 256 ? next() : next() * 256 + next()) % count
  return {
    below,
    oneIn: (count) => below(count) === count - 1,
    pick: (options) => {
      const option = options[below(options.length)]
      if (option === undefined) throw new Error('Bug: there is nothing to pick from')
      return option
    },
  }
}
