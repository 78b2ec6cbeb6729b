// Reads and checks what /metrics responds.
// With its own fetch and dispatcher: the gateway under test replaces the global dispatcher with one
// that bounds responses.
import { Agent, fetch, type RequestInit } from 'undici'

/** One scrape. */
export type Scrape = {
  text: string
  /** The names of all samples, of histograms those with `_bucket`, `_sum` and `_count`, with their labels. */
  samples: readonly Sample[]
  /** Returns the value of the only sample with this name and these labels; null when there is none. */
  find(name: string, labels?: Readonly<Record<string, string>>): number | null
  typeOf(name: string): string | null
}

export type Sample = { name: string; labels: Readonly<Record<string, string>>; value: number }

/** Requests a path of the server of METRICS_PORT. */
export async function askMetrics(port: number, path = '/metrics', init: RequestInit = {}) {
  const dispatcher = new Agent()
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, dispatcher })
    return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() }
  } finally {
    await dispatcher.close()
  }
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$/

/** Parses a scrape. @throws Error for a line that is none of the format. */
export function parseScrape(text: string): Scrape {
  const types = new Map<string, string>()
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    const [, typed, type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (typed !== undefined) types.set(typed, type)
    if (line === '' || line.startsWith('#')) continue
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
    if (name === undefined) throw new Error(`Not a sample: ${line}`)
    const pairs = labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)
    const named = [...pairs].map(([, label = '', text = '']) => [label, text] as const)
    samples.push({ name, labels: Object.fromEntries(named), value: Number(value) })
  }
  return {
    text,
    samples,
    find: (name, labels = {}) => {
      const found = samples.filter(
        (sample) =>
          sample.name === name &&
          Object.keys(sample.labels).length === Object.keys(labels).length &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      )
      if (found.length > 1) throw new Error(`${name} is there ${found.length} times`)
      return found[0]?.value ?? null
    },
    typeOf: (name) => types.get(name) ?? types.get(name.replace(/_(?:bucket|sum|count)$/, '')) ?? null,
  }
}

/**
 * Returns what `promtool check metrics` would complain about: a family without HELP or TYPE or with two,
 * samples apart from their family, a sample twice, a counter without `_total`, a unit that is none.
 */
export function findFormatProblems(text: string): string[] {
  const problems: string[] = []
  const families = new Map<string, { help: number; type: string | null }>()
  const seen = new Set<string>()
  let current = ''
  for (const line of text.split('\n')) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (families.has(name)) problems.push(`${name} has HELP twice`)
      if (rest === '') problems.push(`${name} has no help text`)
      families.set(name, { help: 1, type: null })
      current = name
    } else if (keyword === 'TYPE') {
      const family = families.get(name)
      if (family === undefined || family.type !== null || name !== current) problems.push(`${name} has a stray TYPE`)
      else family.type = rest
    } else if (line !== '' && !line.startsWith('#')) {
      const [, sample = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
      if (sample === '') problems.push(`not a sample: ${line}`)
      const isOfCurrent = sample === current || [`_bucket`, `_sum`, `_count`].some((end) => sample === current + end)
      if (!isOfCurrent) problems.push(`${sample} is not below its TYPE`)
      if (seen.has(`${sample} ${labels}`)) problems.push(`${sample} {${labels}} is there twice`)
      if (Number.isNaN(Number(value)) && !/^[+-]?(?:Inf|NaN)$/i.test(value)) problems.push(`${sample} is ${value}`)
      seen.add(`${sample} ${labels}`)
    }
  }
  for (const [name, { type }] of families) {
    if (type === null) problems.push(`${name} has no TYPE`)
    if (!name.startsWith('xconnect_')) continue
    if ((type === 'counter') !== name.endsWith('_total')) problems.push(`${name} is a ${type}`)
    if (/_(?:milliseconds|minutes|hours|kilobytes)(?:_|$)/.test(name)) problems.push(`${name} has no base unit`)
  }
  return problems
}
