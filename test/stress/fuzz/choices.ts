// Choices out of a list of bytes, so that fast-check can make what was chosen smaller: with no byte left, the first choice is taken.

export type Choices = {
  /** From 0 up to, but not including, `count`. */
  below(count: number): number
  /** True once in so many times. */
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
