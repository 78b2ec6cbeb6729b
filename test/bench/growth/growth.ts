// How the gateway grows: the same figures in a large and in a small database, measured in turns.
import { postgresAt } from '../../../src/config/database-config.ts'
import { installOutbound } from '../../../src/outbound/provider-calls.ts'
import { renderTable } from '../../stress/chaos/table.ts'
import type { Size } from '../../support/grown-tables.ts'
import { percentile } from '../../support/percentile.ts'
import { startPostgresServer } from '../../support/postgres.ts'
import { fillTemplate } from '../../support/template.ts'
import {
  type Figures,
  measureCommits,
  measureIdleRefreshes,
  measureRequests,
  measureStreams,
  measureSweeps,
} from './measures.ts'
import { openStage, type Stage } from './stage.ts'
import { startXStub } from './x-stub.ts'

export type GrowthOptions = {
  large: Size
  smallConnections: number
  rounds: number
  /** How long a rate is measured. */
  seconds: number
  streams: number
}

// Unlike in the tests a commit waits for the disk, and the server has room for the rows.
const SETTINGS = {
  fsync: 'on',
  full_page_writes: 'on',
  shared_buffers: '1GB',
  maintenance_work_mem: '256MB',
  max_wal_size: '8GB',
}

/** Measures, and returns one Markdown table. */
export async function runGrowth(options: GrowthOptions): Promise<string> {
  const { large, smallConnections, rounds, streams } = options
  const share = smallConnections / large.connections
  const small: Size = {
    connections: smallConnections,
    tweets: Math.ceil(large.tweets * share),
    events: Math.ceil(large.events * share),
  }
  await using x = await startXStub()
  const outbound = installOutbound(10, null, () => {})
  await using server = await startPostgresServer({
    settings: SETTINGS,
    prepareTemplate: (url) => fillTemplate({ source: postgresAt(url) }),
  })
  const stages: Stage[] = []
  await using resources = new AsyncDisposableStack()
  resources.defer(() => outbound.close())
  for (const size of [small, large]) {
    console.log(`${size.connections.toLocaleString('en')} connections …`)
    stages.push(resources.use(await openStage(server, size, x.url, streams)))
  }
  const measured = stages.map((): Figures[] => [])
  for (let round = 1; round <= rounds; round++) {
    console.log(`round ${round} …`)
    for (const [at, stage] of stages.entries()) measured[at]?.push(await measureRound(stage, options))
  }
  console.log('streams …')
  const idle = await Promise.all(stages.map((stage) => measureStreams(stage, options.streams, options.seconds)))
  const [ofSmall = {}, ofLarge = {}] = measured.map((rounds, at) => ({ ...medians(rounds), ...idle[at] }))
  return renderGrowth(stages, ofSmall, ofLarge)
}

async function measureRound(stage: Stage, { seconds }: GrowthOptions): Promise<Figures> {
  return {
    ...(await measureRequests(stage, seconds)),
    ...(await measureSweeps(stage)),
    ...(await measureIdleRefreshes(stage, seconds)),
    ...(await measureCommits(stage, seconds)),
  }
}

function medians(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const values = rounds.map((figures) => figures[name] ?? 0)
      return [name, percentile(values, 0.5)]
    }),
  )
}

function renderGrowth(stages: readonly Stage[], small: Figures, large: Figures): string {
  const titles = stages.map(({ size }) => `${size.connections.toLocaleString('en')} connections`)
  const names = [...new Set([...Object.keys(small), ...Object.keys(large)])]
  const rows = names.map((name) => {
    const [one, other] = [small[name], large[name]]
    const ratio = one === undefined || other === undefined || one === 0 ? '' : (other / one).toFixed(2)
    return [name, format(one), format(other), ratio]
  })
  return renderTable(['figure (median)', ...titles, 'ratio'], rows)
}

function format(figure: number | undefined): string {
  if (figure === undefined) return ''
  return figure.toLocaleString('en', { maximumFractionDigits: figure < 10 ? 2 : 0 })
}
