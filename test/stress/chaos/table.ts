import type { Figure } from './figures.ts'
import type { Outcome } from './refresh-scenario.ts'

type Column = { title: string; read(outcome: Outcome): string }

const COLUMNS: Column[] = [
  { title: 'seconds', read: ({ seconds }) => seconds.toFixed(0) },
  {
    title: 'faults',
    read: ({ strikes }) =>
      Object.entries(strikes)
        .flatMap(([kind, times]) => (times > 0 ? [`${times} ${kind}`] : []))
        .join(', ') || 'none',
  },
  { title: 'refreshes', read: ({ refreshes }) => count(refreshes) },
  { title: 'concurrent sends', read: ({ concurrentSends }) => count(concurrentSends) },
  { title: 'replays', read: ({ replays }) => count(replays) },
  { title: 'silently dead', read: ({ silentlyDead }) => count(silentlyDead) },
  { title: 'lost', read: ({ lost }) => count(lost) },
  { title: 'detected', read: ({ lostAndDetected }) => count(lostAndDetected) },
  { title: 'recovery s', read: ({ recoverySeconds }) => recoverySeconds.toFixed(1) },
  {
    title: 'longest transaction ms',
    read: ({ longestTransactionMilliseconds }) => longestTransactionMilliseconds.toFixed(0),
  },
  { title: 'posts', read: ({ posts }) => count(posts) },
  { title: 'tweets', read: ({ tweets }) => count(tweets) },
  { title: 'tweets per key', read: ({ tweetsPerKey }) => count(tweetsPerKey) },
  { title: 'broken invariants', read: ({ broken }) => count(broken.length) },
]

/** Renders outcomes as a Markdown table, one line per scenario. */
export function renderOutcomes(outcomes: readonly { name: string; outcome: Outcome }[]): string {
  return renderTable(
    ['scenario', ...COLUMNS.map(({ title }) => title)],
    outcomes.map(({ name, outcome }) => [name, ...COLUMNS.map(({ read }) => read(outcome))]),
  )
}

/** Renders targets as a Markdown table. */
export function renderFigures(figures: readonly Figure[]): string {
  return renderTable(
    ['figure', 'wanted', 'got', 'reached'],
    figures.map(({ what, wanted, got, reached }) => [what, wanted, got, reached ? 'yes' : 'NO']),
  )
}

/** Renders the statuses of the posts, the most frequent first. */
export function renderStatuses(statuses: Record<string, number>): string {
  return Object.entries(statuses)
    .toSorted(([, left], [, right]) => right - left)
    .map(([status, times]) => `${status} ${count(times)}`)
    .join(', ')
}

/** Renders a Markdown table in which all columns but the first are numbers. */
export function renderTable(titles: string[], rows: string[][]): string {
  const rule = titles.map((_, column) => (column === 0 ? '---' : '---:'))
  return [titles, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function count(number: number): string {
  return number.toLocaleString('en')
}
