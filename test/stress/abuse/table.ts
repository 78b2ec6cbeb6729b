import { renderTable } from '../chaos/table.ts'
import type { Abused } from './abuses.ts'

/**
 * Renders the service during each abuse as a Markdown table; the ratio is to the first line,
 * without abuse.
 */
export function renderAbused(results: readonly Abused[]): string {
  const quietMilliseconds = results[0]?.service.medianMilliseconds ?? 0
  const rows = results.map(({ name, service, memoryMb }) => [
    name,
    service.asked.toLocaleString('en'),
    String(service.failed),
    service.medianMilliseconds.toFixed(1),
    service.p99Milliseconds.toFixed(0),
    quietMilliseconds > 0 ? (service.medianMilliseconds / quietMilliseconds).toFixed(1) : '',
    memoryMb.toFixed(0),
  ])
  const titles = ['meanwhile', 'asked', 'failed', 'median ms', 'p99 ms', 'median to the first', 'memory MB']
  return renderTable(titles, rows)
}
