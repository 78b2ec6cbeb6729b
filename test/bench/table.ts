// The tables that the benchmark prints.
import { renderTable } from '../stress/chaos/table.ts'
import { type Figures, formatSummary, summarize } from './figures.ts'

/** A row of figures: the rounds of one subject, and those of the subject that it is compared with. */
export type Row = { scenario: string; subject: string; rounds: readonly Figures[]; base: readonly Figures[] }

/** Renders one table for each part of the benchmark. */
export function renderTables(tables: readonly (readonly Row[])[]): string {
  return tables
    .filter((rows) => rows.length > 0)
    .map(renderRows)
    .join('\n\n')
}

/** Renders Markdown. In parentheses is the multiple of the base of the same round. */
export function renderRows(rows: readonly Row[]): string {
  const summaries = rows.map(({ rounds, base }) => summarize(rounds, base))
  const names = [...new Set(summaries.flatMap((summary) => Object.keys(summary)))]
  return renderTable(
    ['scenario', 'server', ...names],
    rows.map(({ scenario, subject }, index) => [
      scenario,
      subject,
      ...names.map((name) => formatSummary(summaries[index]?.[name])),
    ]),
  )
}
