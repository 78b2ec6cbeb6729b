/**
 * Returns a percentile by nearest rank: share 0.5 is the median, 1 the maximum. Returns 0 for an
 * empty list.
 */
export function percentile(numbers: readonly number[], share: number): number {
  const ordered = numbers.toSorted((one, other) => one - other)
  return ordered[Math.ceil(ordered.length * share) - 1] ?? 0
}
