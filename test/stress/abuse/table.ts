import { renderTable } from '../chaos/table.ts'
import type { Abused } from './abuses.ts'

/**
 * Renders the service during each abuse as a Markdown table. The ratios are to the quiet seconds
 * before the abuse, or to the first line where there are none.
 */
export function renderAbused(results: readonly Abused[]): string {
  const rows = results.map(({ name, quiet = results[0]?.service, service, memoryMb }) => {
    const ratio = (of: 'medianMilliseconds' | 'p99Milliseconds') =>
      quiet !== undefined && quiet[of] > 0 ? (service[of] / quiet[of]).toFixed(1) : ''
    return [
      name,
      service.asked.toLocaleString('en'),
      String(service.failed),
      service.medianMilliseconds.toFixed(1),
      service.p99Milliseconds.toFixed(0),
      ratio('medianMilliseconds'),
      ratio('p99Milliseconds'),
      memoryMb.toFixed(0),
    ]
  })
  const titles = ['meanwhile', 'asked', 'failed', 'median ms', 'p99 ms', 'median to quiet', 'p99 to quiet', 'memory MB']
  return renderTable(titles, rows)
}
