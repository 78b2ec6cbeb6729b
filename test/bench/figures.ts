// Medians over rounds, and ratios within a round.
import { percentile } from '../support/percentile.ts'

/** Figures by name. */
export type Figures = Readonly<Record<string, number>>

/** A figure over all rounds. `ratio` is null where there is nothing to compare with. */
export type Summary = { median: number; ratio: number | null }

/**
 * Returns the median of each figure, and the median of its ratios to the base figures of the same
 * round. What disturbs a whole round disturbs both sides of a ratio.
 */
export function summarize(rounds: readonly Figures[], base: readonly Figures[]): Record<string, Summary> {
  const names = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const values = rounds.map((figures) => figures[name] ?? 0)
      const ratios = values.flatMap((value, round) => {
        const divisor = base[round]?.[name] ?? 0
        return divisor === 0 ? [] : [value / divisor]
      })
      return [name, { median: percentile(values, 0.5), ratio: ratios.length === 0 ? null : percentile(ratios, 0.5) }]
    }),
  )
}

/** Returns a figure with its ratio, such as "120 (1.3 ×)". */
export function formatSummary(summary: Summary | undefined): string {
  if (summary === undefined) return ''
  const { median, ratio } = summary
  const value = median.toLocaleString('en', { maximumFractionDigits: median < 10 ? 2 : 0 })
  return ratio === null ? value : `${value} (${ratio.toFixed(2)} ×)`
}
