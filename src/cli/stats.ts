// xconnect stats: figures of the whole deployment.
import { type RowCount, readStats } from '../administration/stats.ts'
import type { AdminWork } from './administration.ts'
import { parseOptions } from './subcommand.ts'

export const STATS_USAGE = `  xconnect stats [--json]  show how many users, accounts, tweets and jobs there are`

/**
 * Parses the arguments of `xconnect stats`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseStatsCommand(words: readonly string[]): AdminWork {
  const { json = false } = parseOptions(words, { json: { type: 'boolean' } })
  return async (deps, output) => {
    const stats = await readStats(deps)
    if (json) {
      output.result(JSON.stringify(stats))
      return 0
    }
    const { jobs, ...counts } = stats
    for (const [name, count] of Object.entries(counts)) output.result(`${name.padEnd(24)} ${describe(count)}`)
    for (const queue of jobs)
      output.result(`${`jobs ${queue.queue}`.padEnd(24)} ${describe(queue)}, ${queue.failed} failed`)
    return 0
  }
}

function describe({ count, isExact }: RowCount): string {
  return isExact ? String(count) : `about ${count}`
}
