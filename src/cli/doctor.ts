import { sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import type { PostgresConfig } from '../config/database-config.ts'
import { describeSignIn } from '../config/sign-in-config.ts'
import { countInstances } from '../db/announced-keys.ts'
import { type Database, openSingleConnection, queryRows } from '../db/client.ts'
import { explainMissingGrants, findMissingGrants } from '../db/grants.ts'
import { openJobDatabase } from '../db/job-database.ts'
import { listenForNotifications } from '../db/listen.ts'
import { countPendingMigrations, DatabaseUnreachableError } from '../db/migrate.ts'
import { assertKeepsSession, assertPooledDatabase } from '../db/pooler.ts'
import { listKeyIds } from '../db/sealed-values.ts'
import { judgeServer, readServerFacts } from '../db/server-check.ts'
import { explainMissingKey, findMissingKey } from '../db/startup-checks.ts'
import { callProvider, noCircuitBreaker } from '../outbound/provider-calls.ts'
import { withTimeout } from '../process/with-timeout.ts'
import { explainUnreached } from './unreached.ts'

export const DOCTOR_USAGE =
  '  xconnect doctor          check the configuration, the database, the keys, the clocks and both providers'

/** The result of one check. `detail` says what was found, or what to do. */
export type Finding = { name: string; state: 'ok' | 'FAIL' | 'not checked'; detail: string }

// Tokens expire by the database's clock here and by X's clock there.
const MAX_CLOCK_DIFFERENCE_SECONDS = 60
const CONNECTION_SECONDS = 10

/** Checks everything that a gateway depends on, and changes nothing. */
export async function examine(config: Config, database: Database): Promise<Finding[]> {
  const findings: Finding[] = [
    {
      name: 'Public address',
      state: 'ok',
      detail: `${config.publicUrl}; register ${config.publicUrl}/auth/github/callback and ${config.publicUrl}/auth/x/callback`,
    },
    { name: 'Sign-in', state: 'ok', detail: describeSignIn(config.signIn) },
    ...(await examineDatabase(config, database)),
  ]
  if (config.sandbox !== null) return [...findings, { name: 'Providers', state: 'ok', detail: 'the sandbox' }]
  for (const [name, url] of [
    ['GitHub', config.github.apiUrl],
    ['X', config.x.apiUrl],
  ] as const) {
    findings.push(await look(name, () => reach(url, config.outboundProxy)))
  }
  return findings
}

async function examineDatabase(config: Config, database: Database): Promise<Finding[]> {
  const seconds = await readDatabaseClock(database).catch(reasonOf)
  if (seconds instanceof Error) return unusable(explainUnreachable(database, seconds))
  // The embedded database needs no check of its server.
  const problem = database.source.kind === 'pglite' ? null : judgeServer(await readServerFacts(database.db))
  if (problem !== null) return unusable(problem.sentence)
  return [
    await look('Database', async () =>
      describeClock(seconds, `${database.source.kind === 'pglite' ? 'embedded PGlite' : 'PostgreSQL'} responds`),
    ),
    ...(await examineConnections(database.source)),
    await look('Tables', async () => {
      const missing = database.source.kind === 'pglite' ? [] : await findMissingGrants(database.db)
      if (missing.length > 0) throw new Error(explainMissingGrants(missing))
      const pending = await countPendingMigrations(database.db)
      if (pending > 0) throw new Error(`${pending} migrations are pending: run xconnect migrate, or start the gateway.`)
      return 'up to date'
    }),
    await examineKeys(config, database),
  ]
}

/** Checks the connections that a gateway opens besides the pool for requests. */
async function examineConnections(source: Database['source']): Promise<Finding[]> {
  if (source.kind === 'pglite') return []
  return [
    await look('Connection for migrations', async () => {
      await assertKeepsSession(source)
      return source.direct === null ? 'keeps its session' : 'DATABASE_DIRECT_URL keeps its session'
    }),
    ...(source.pooler === 'transaction'
      ? [
          await look('Pooler', async () => {
            await assertPooledDatabase(source)
            return 'transaction mode; both addresses lead to one database'
          }),
        ]
      : []),
    await look('Connection for LISTEN', async () => {
      await withTimeout(CONNECTION_SECONDS, receiveOwnNotification(source), failLate)
      return 'receives notifications'
    }),
    await look('Connection for jobs', async () => {
      const jobs = openJobDatabase(source)
      try {
        await withTimeout(CONNECTION_SECONDS, jobs.executeSql('select 1'), failLate)
        return 'responds'
      } finally {
        await jobs.close()
      }
    }),
  ]
}

async function receiveOwnNotification(source: PostgresConfig): Promise<void> {
  const channel = `xconnect_doctor_${process.pid}`
  const { promise, resolve } = Promise.withResolvers<void>()
  const client = openSingleConnection(source)
  const end = await listenForNotifications(
    { source },
    new Map([
      [
        channel,
        (payload: string | null) => {
          if (payload === 'heard') resolve()
        },
      ],
    ]),
  )
  try {
    await client`select pg_notify(${channel}, 'heard')`
    await promise
  } finally {
    await Promise.all([end(), client.end({ timeout: 1 })])
  }
}

function failLate(): never {
  throw new Error(`no response within ${CONNECTION_SECONDS} s`)
}

function unusable(detail: string): Finding[] {
  return [
    { name: 'Database', state: 'FAIL', detail },
    { name: 'Tables', state: 'not checked', detail: 'repair the database first' },
    { name: 'Encryption keys', state: 'not checked', detail: 'repair the database first' },
  ]
}

async function examineKeys(config: Config, database: Database): Promise<Finding> {
  const { db } = database
  const name = 'Encryption keys'
  const [canaries] = await queryRows(db, sql`select to_regclass('encryption_canaries') is not null as exist`)
  if (canaries?.exist !== true)
    return { name, state: 'not checked', detail: 'create the tables first: run xconnect migrate, or start the gateway' }
  return look(name, async () => {
    const missing = await findMissingKey(db, config.encryptionKeys)
    if (missing !== null) throw new Error(explainMissingKey(missing))
    const [first, ...others] = config.encryptionKeys
    const { running, lacking } = await countInstances(database, first.id)
    if (lacking > 0)
      throw new Error(
        `${lacking} of ${running} running instances lack the encryption key "${first.id}", with which this configuration encrypts. Add it behind the present key at every instance and restart them, before it is the first.`,
      )
    const used = await listKeyIds(db)
    const decrypting = others.length === 0 ? '' : `, for decryption alone: ${quoteIds(others.map(({ id }) => id))}`
    return `${config.encryptionKeysSource}: ${config.encryptionKeys.length} configured, "${first.id}" encrypts${decrypting}; stored values use ${used.length === 0 ? 'none yet' : quoteIds(used)}`
  })
}

function quoteIds(ids: readonly string[]): string {
  return ids.map((id) => `"${id}"`).join(', ')
}

async function look(name: string, work: () => Promise<string>): Promise<Finding> {
  try {
    return { name, state: 'ok', detail: await work() }
  } catch (error) {
    return { name, state: 'FAIL', detail: reasonOf(error).message }
  }
}

// Drizzle's message is the query; the cause has the reason.
function reasonOf(error: unknown): Error {
  const isOfDrizzle = error instanceof Error && error.message.startsWith('Failed query')
  const reason = isOfDrizzle && error.cause instanceof Error ? error.cause : error
  return reason instanceof Error ? reason : new Error('failed')
}

function explainUnreachable({ source }: Database, reason: Error): string {
  return source.kind === 'postgres' ? new DatabaseUnreachableError(source, reason).message : reason.message
}

async function readDatabaseClock({ db }: Database): Promise<number> {
  const [row] = await queryRows(db, sql`select extract(epoch from clock_timestamp())::float8 as seconds`)
  return Number(row?.seconds)
}

async function reach(url: string, proxy: Config['outboundProxy']): Promise<string> {
  const result = await callProvider(noCircuitBreaker, async () => {
    const response = await fetch(url, { method: 'HEAD' })
    await response.arrayBuffer()
    return response.headers.get('date')
  })
  // Any response proves that the provider is reachable, also a redirect or a 404.
  if (result.report.status === null) throw new Error(explainUnreached(url, result.ok ? null : result.error, proxy))
  const date = result.ok ? result.value : null
  return describeClock(date === null ? null : Date.parse(date) / 1000, `${url} responds`)
}

function describeClock(seconds: number | null, detail: string): string {
  if (seconds === null) return detail
  const difference = Math.round(seconds - Date.now() / 1000)
  if (Math.abs(difference) <= MAX_CLOCK_DIFFERENCE_SECONDS) return detail
  throw new Error(
    `${detail}, but its clock differs by ${difference} s from this machine's. Synchronise the clocks (NTP).`,
  )
}
