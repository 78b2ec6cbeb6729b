/** The smallest of these that so great a share of them does not exceed: 0.5 is the median, 1 the greatest. 0 of none. */
export function percentile(numbers: readonly number[], share: number): number {
  const ordered = numbers.toSorted((one, other) => one - other)
  return ordered[Math.ceil(ordered.length * share) - 1] ?? 0
}
