import type { Outcome } from './rotation-scenario.ts'

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
  { title: 'rotations', read: ({ rotations }) => count(rotations) },
  { title: 'concurrent sends', read: ({ concurrentSends }) => count(concurrentSends) },
  { title: 'replays', read: ({ replays }) => count(replays) },
  { title: 'silently dead', read: ({ silentlyDead }) => count(silentlyDead) },
  { title: 'lost', read: ({ lost }) => count(lost) },
  { title: 'detected', read: ({ lostAndDetected }) => count(lostAndDetected) },
  { title: 'recovery s', read: ({ recoverySeconds }) => recoverySeconds.toFixed(1) },
  { title: 'longest transaction ms', read: ({ longestTransactionMs }) => longestTransactionMs.toFixed(0) },
  { title: 'posts', read: ({ posts }) => count(posts) },
  { title: 'tweets', read: ({ tweets }) => count(tweets) },
  { title: 'tweets per key', read: ({ tweetsPerKey }) => count(tweetsPerKey) },
  { title: 'broken invariants', read: ({ broken }) => count(broken.length) },
]

/** The outcomes as a table in Markdown, one line a scenario. */
export function renderTable(outcomes: readonly { name: string; outcome: Outcome }[]): string {
  const lines = [
    ['scenario', ...COLUMNS.map(({ title }) => title)],
    ['---', ...COLUMNS.map(() => '---:')],
    ...outcomes.map(({ name, outcome }) => [name, ...COLUMNS.map(({ read }) => read(outcome))]),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Statuses of the posts, the most frequent first. */
export function renderStatuses(statuses: Record<string, number>): string {
  return Object.entries(statuses)
    .toSorted(([, left], [, right]) => right - left)
    .map(([status, times]) => `${status} ${count(times)}`)
    .join(', ')
}

function count(number: number): string {
  return number.toLocaleString('en')
}
