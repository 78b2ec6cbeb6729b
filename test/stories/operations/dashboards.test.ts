// deploy/grafana.json and deploy/alerts.yml against a real scrape: every metric that they name is there,
// with the labels that they use.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { errorCodes } from '../../../src/error-codes.ts'
import {
  connectAccount,
  postFault,
  queryRows,
  refreshFault,
  UNTIL_DUE_SECONDS,
} from '../../support/connected-account.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startWorld } from '../../support/harness.ts'
import { askMetrics, parseScrape, type Scrape } from '../../support/scrape.ts'
import { sweepNow } from '../../support/sweep.ts'

const read = (name: string) => readFileSync(path.join(import.meta.dirname, '../../..', name), 'utf8')

const rule = z.strictObject({
  alert: z.string().regex(/^XConnect[A-Z]\w+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+[smh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string().min(20), description: z.string().min(60) }),
})
const alerts = z
  .strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) })
  .parse(parseYaml(read('deploy/alerts.yml')))
  .groups.flatMap(({ rules }) => rules)
const panels = z
  .looseObject({
    panels: z.array(
      z.looseObject({
        type: z.enum(['row', 'timeseries']),
        title: z.string(),
        targets: z.array(z.looseObject({ expr: z.string(), legendFormat: z.string() })).default([]),
      }),
    ),
  })
  .parse(JSON.parse(read('deploy/grafana.json')))
  .panels.filter(({ type }) => type === 'timeseries')

// Prometheus adds these to what it scrapes.
const ADDED_LABELS = ['job', 'instance']
// Its own metric of each scrape.
const UP: Selector = { name: 'up', labels: ['job'], hasRange: false }

type Selector = { name: string; labels: readonly string[]; hasRange: boolean }
type Parsed = { selectors: Selector[]; problems: string[]; grouped: string[]; rated: string[] }

/** Takes an expression apart with Prometheus' own grammar. */
function parseExpression(expression: string): Parsed {
  // Grafana replaces its variables by durations.
  const text = expression.replaceAll('$__rate_interval', '5m')
  const parsed: Parsed = { selectors: [], problems: [], grouped: [], rated: [] }
  parser.parse(text).iterate({
    enter: ({ name, from, to, node }) => {
      const own = text.slice(from, to)
      if (name === '⚠') parsed.problems.push(`${expression}: wrong at ${from}`)
      if (name === 'VectorSelector')
        parsed.selectors.push({
          name: /^\w+/.exec(own)?.[0] ?? '',
          labels: [...own.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label),
          hasRange: node.parent?.name === 'MatrixSelector',
        })
      if (name === 'GroupingLabels') parsed.grouped.push(...(own.match(/\w+/g) ?? []))
      if (name === 'FunctionCall') {
        const [, called = '', inner = ''] = /^(\w+)\s*\((.*)\)$/s.exec(own) ?? []
        if (['rate', 'increase', 'irate'].includes(called)) parsed.rated.push(/^\w+/.exec(inner)?.[0] ?? '')
      }
    },
  })
  return parsed
}

const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: title, expr }))),
]

let scrape: Scrape

// A world in which each metric has a value.
beforeAll(async () => {
  await using resources = new AsyncDisposableStack()
  const port = await findFreePort()
  const world = await startWorld({ METRICS_PORT: String(port) }, { reconcileAfterSeconds: 3600 })
  resources.defer(() => world.close())
  const { control } = world.sandbox
  const account = await connectAccount(world)
  control.inject(postFault({ kind: 'problem', name: 'duplicate-content' }))
  await account.post()
  control.inject(postFault({ kind: 'dropAfter' }))
  await account.post()
  world.advance(UNTIL_DUE_SECONDS)
  control.inject(refreshFault({ kind: 'dropAfter' }))
  await account.post()
  await sweepNow(world)
  await queryRows(world, sql`update tweets set status = 'PENDING', error_code = null where status = 'FAILED'`)
  // Those that the loops of the gateway would take at once.
  await queryRows(
    world,
    sql`create function keep_row() returns trigger language plpgsql as $$ begin return null; end $$`,
  )
  await queryRows(
    world,
    sql`create trigger kept before update on pgboss.job_common for each row when (old.name = 'check-connection') execute function keep_row()`,
  )
  await queryRows(
    world,
    sql`create trigger kept before update on webhook_turns for each row execute function keep_row()`,
  )
  await queryRows(
    world,
    sql`insert into pgboss.job (name, data, start_after) values ('check-connection', '{}', now() - interval '1 s')`,
  )
  await queryRows(
    world,
    sql`insert into x_blocks (user_id, subject, endpoint, error_code, until)
    values ('00000000-0000-0000-0000-000000000000', 'APP', 'POST_TWEET', 'X_CREDITS_EXHAUSTED', now() + interval '1 day')`,
  )
  await queryRows(
    world,
    sql`insert into provider_problems (code, since, seen_at) values ('X_APP_NOT_ENROLLED', now(), now())`,
  )
  await queryRows(world, sql`insert into webhook_turns (user_id, prompt_at) values (${account.userId}, now())`)
  world.advance(7200)
  await vi.waitFor(
    async () => {
      scrape = parseScrape((await askMetrics(port)).text)
      // Runs are gathered for a second, and what the database has said is kept for five.
      expect(scrape.find('xconnect_maintenance_rows', { task: 'sweepTweets' })).not.toBeNull()
    },
    { timeout: 60_000, interval: 500 },
  )
}, 120_000)

describe.each(expressions)('$where: $expr', ({ expr }) => {
  const { selectors, problems, grouped, rated } = parseExpression(expr)

  test('is an expression of metrics that exist, with their labels', () => {
    expect(problems).toEqual([])
    expect(selectors.length).toBeGreaterThan(0)
    for (const { name, labels } of selectors.filter(({ name }) => name !== UP.name)) {
      const samples = scrape.samples.filter((sample) => sample.name === name)
      expect(samples, `${name} is not in a scrape`).not.toEqual([])
      const known = new Set([...samples.flatMap((sample) => Object.keys(sample.labels)), ...ADDED_LABELS])
      for (const label of [...labels, ...grouped]) expect([...known], name).toContain(label)
    }
  })

  test('takes rates of counters, and of nothing else', () => {
    for (const { name, hasRange } of selectors.filter(({ name }) => name !== UP.name)) {
      const isCounter = scrape.typeOf(name) === 'counter' || name.endsWith('_bucket')
      expect(hasRange, `${name} is a ${scrape.typeOf(name)}`).toBe(isCounter)
      if (isCounter) expect(rated).toContain(name)
    }
  })
})

test('each label value that an expression names is one that the gateway writes', () => {
  const values = expressions.flatMap(({ expr }) =>
    [...expr.matchAll(/(\w+)(?:=~|=|!=)"([^"]+)"/g)].map(([, label = '', value = '']) => ({ label, value })),
  )
  const known: Readonly<Record<string, readonly string[]>> = {
    job: ['xconnect'],
    outcome: ['REJECTED', 'LOST', 'UNAVAILABLE', 'APP_REJECTED', 'NOT_SENT', 'FAILED', 'UNKNOWN', 'DEAD'],
    status: ['PENDING', 'UNKNOWN'],
    state: ['waited_for'],
    queue: ['maintenance'],
    error_code: Object.keys(errorCodes),
  }
  for (const { label, value } of values)
    for (const one of value.split('|')) expect(known[label] ?? [], label).toContain(one)
})

test('each alert says what to do, and names a section of docs/operate.md', () => {
  const headings = read('docs/operate.md').match(/^#{2,4} .*$/gm) ?? []
  const anchors = headings.map((heading) =>
    heading
      .replace(/^#+ /, '')
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
  const names = alerts.map(({ alert }) => alert)
  expect(new Set(names).size).toBe(names.length)
  for (const { alert, annotations, labels, for: pending } of alerts) {
    const [, anchor = ''] = /See docs\/operate\.md#([\w-]+)\.$/.exec(annotations.description) ?? []
    expect(anchors, alert).toContain(anchor)
    // One failed scrape wakes nobody.
    if (labels.severity === 'critical' && alert.includes('Instance')) expect(pending, alert).toBeDefined()
  }
})

test('docs/operate.md lists every metric of the gateway, and no other', () => {
  const [, section = ''] = /\n### Metrics\n(.*?)\n### /s.exec(`${read('docs/operate.md')}\n### `) ?? []
  const listed = new Set(section.match(/xconnect_\w+/g))
  const scraped = new Set(
    scrape.samples
      .map(({ name }) => name.replace(/(_seconds)_(?:bucket|sum|count)$/, '$1'))
      .filter((name) => name.startsWith('xconnect_')),
  )
  expect([...scraped].filter((name) => !listed.has(name) && !name.startsWith('xconnect_maintenance_'))).toEqual([])
  expect([...listed].filter((name) => !scraped.has(name))).toEqual([])
})
