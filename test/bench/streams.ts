// 100 event streams: from the commit of an event to the last of them, against one NOTIFY from one
// connection to another, and the memory of a stream.
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { createSecret } from '../../src/auth/api-token-format.ts'
import { sha256 } from '../../src/crypto.ts'
import { openPostgres } from '../../src/db/client.ts'
import { systemClock } from '../../src/db/clock.ts'
import { OPERATOR_ID } from '../../src/db/tables.ts'
import { transaction } from '../../src/deps.ts'
import { recordEvent } from '../../src/events/events.ts'
import { notifyOfEvents } from '../../src/events/notify.ts'
import { createEventNotifier } from '../../src/process/event-notifier.ts'
import { DEFAULT_STREAMS_PER_OWNER } from '../../src/process/event-streams.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { percentile } from '../support/percentile.ts'
import type { BenchOptions } from './arguments.ts'
import type { Figures } from './figures.ts'
import { readProcessorTime, readResidentBytes } from './processor-time.ts'
import type { Stage } from './stage.ts'

export type StreamRounds = { gateway: Figures[]; notify: Figures[] }

const STREAMS = 100
const EVENTS_A_ROUND = 20
const PAUSE_MILLISECONDS = 100
const SETTLE_SECONDS = 2

export async function measureStreams(stage: Stage, { rounds }: BenchOptions): Promise<StreamRounds> {
  await using resources = new AsyncDisposableStack()
  const secrets = await createOperatorTokens(stage, STREAMS / DEFAULT_STREAMS_PER_OWNER)
  await stage.person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
  const opened = openPostgres(stage.databaseUrl)
  resources.defer(() => opened.close())
  const log = createLog('error')
  const eventNotifier = createEventNotifier(log, (userIds) => notifyOfEvents(opened.db, userIds))
  const { userId, accountId } = stage
  const commitEvent = () =>
    transaction({ db: opened.db, clock: systemClock, eventNotifier }, (deps) =>
      recordEvent(deps, { type: 'account.connected', userId, accountId }),
    )
  const received = createCounter()
  const residentBefore = readResidentBytes(stage.gateway.pid)
  const pool = new Pool(stage.gateway.url, { connections: STREAMS, bodyTimeout: 0 })
  resources.defer(() => pool.destroy())
  for (const secret of secrets)
    for (let n = 0; n < DEFAULT_STREAMS_PER_OWNER; n++) await openStream(pool, secret, received.add)
  await sleep(SETTLE_SECONDS * 1000)
  const bytesOfStream = (readResidentBytes(stage.gateway.pid) - residentBefore) / STREAMS
  const measured: StreamRounds = { gateway: [], notify: [] }
  const notified = createCounter()
  await stage.sql.listen('bench', notified.add)
  for (let round = -1; round < rounds; round++) {
    const [toLast, roundTrip] = [[] as number[], [] as number[]]
    const before = readProcessorTime(stage.gateway.pid)
    for (let event = 0; event < EVENTS_A_ROUND; event++) {
      toLast.push(await timeUntil(received, STREAMS, commitEvent))
      roundTrip.push(await timeUntil(notified, 1, () => stage.sql.notify('bench', '')))
      // Each event begins with idle streams.
      await sleep(PAUSE_MILLISECONDS)
    }
    // The first round warms up.
    if (round < 0) continue
    measured.gateway.push({
      'p50 ms': percentile(toLast, 0.5),
      'CPU µs': ((readProcessorTime(stage.gateway.pid) - before) * 1000) / EVENTS_A_ROUND,
      'bytes of a stream': bytesOfStream,
    })
    measured.notify.push({ 'p50 ms': percentile(roundTrip, 0.5) })
  }
  return measured
}

async function timeUntil(counter: Counter, more: number, act: () => Promise<unknown>): Promise<number> {
  const reached = counter.reach(counter.count() + more)
  const startedAt = performance.now()
  await act()
  await reached
  return performance.now() - startedAt
}

type Counter = { add(): void; count(): number; reach(total: number): Promise<void> }

function createCounter(): Counter {
  let count = 0
  let wanted = Number.POSITIVE_INFINITY
  let resolve = () => {}
  return {
    add: () => {
      count += 1
      if (count >= wanted) resolve()
    },
    count: () => count,
    reach: (total) => {
      wanted = total
      const reached = Promise.withResolvers<void>()
      resolve = reached.resolve
      return reached.promise
    },
  }
}

async function openStream(pool: Pool, secret: string, onEvent: () => void): Promise<void> {
  const response = await pool.request({
    path: '/graphql',
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, accept: 'text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'subscription { events { node { id type } } }' }),
  })
  if (response.statusCode !== 200) throw new Error(`A stream was refused: ${await response.body.text()}`)
  response.body.on('error', () => {})
  response.body.on('data', (chunk: Buffer) => {
    if (chunk.includes('ACCOUNT_CONNECTED')) onEvent()
  })
}

// Operators' tokens: an event of one user then reaches every stream.
async function createOperatorTokens({ sql }: Stage, count: number): Promise<string[]> {
  const secrets = Array.from({ length: count }, () => createSecret(OPERATOR_ID))
  for (const secret of secrets)
    await sql`insert into api_tokens (user_id, secret_hash, prefix, last_four, name, scopes, created_at, expires_at)
      values (${OPERATOR_ID}, ${sha256(secret)}, ${secret.slice(0, 8)}, ${secret.slice(-4)}, 'bench', '{events:read}', now(),
        now() + interval '1 day')`
  return secrets
}
