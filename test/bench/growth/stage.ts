// One database of the comparison: its rows, the dependencies of a gateway on it, and a gateway
// process that serves requests.
import { createApiToken } from '../../../src/auth/api-token.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { openPostgres } from '../../../src/db/client.ts'
import { connectPostgres } from '../../../src/db/connection.ts'
import { drizzlePostgres } from '../../../src/db/postgres.ts'
import * as tables from '../../../src/db/tables.ts'
import { createDeps, type Deps } from '../../../src/deps.ts'
import { notifyOfEvents } from '../../../src/events/notify.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createEventNotifier } from '../../../src/process/event-notifier.ts'
import { createEventStreams } from '../../../src/process/event-streams.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { growTables, type Size, userIdOf } from '../../support/grown-tables.ts'
import type { PostgresServer } from '../../support/postgres.ts'
import { startGateway } from '../server-process.ts'
import { gatewayEnvironment, readPostmasterPid } from '../stage.ts'

export type Stage = {
  size: Size
  deps: Deps
  /** The number of statements that `deps` has sent. */
  statementCount(): number
  /** The ids of the first users. */
  userIds(count: number): string[]
  run(statement: string): Promise<readonly Record<string, unknown>[]>
  /** The secret of an API token of the first user, with every scope. */
  secret: string
  /** The address of the gateway process. */
  url: string
  pid: number
  postmasterPid: number
  [Symbol.asyncDispose](): Promise<void>
}

/** The number of clients that commit at once; each needs a connection. */
export const CLIENTS = 16

/** @param xUrl the address of a server that responds in the place of X. */
export async function openStage(server: PostgresServer, size: Size, xUrl: string, streams: number): Promise<Stage> {
  await using resources = new AsyncDisposableStack()
  const { url: databaseUrl } = await server.createDatabase()
  const environment = {
    ...gatewayEnvironment(databaseUrl, xUrl),
    DATABASE_POOL_SIZE: String(CLIENTS),
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'error',
  }
  const opened = openPostgres(databaseUrl)
  resources.defer(() => opened.close())
  const config = parseConfig(environment)
  if (config.database.kind !== 'postgres') throw new Error('Bug: the benchmark runs on PostgreSQL')
  const seeding = connectPostgres(config.database, { applicationName: 'bench', route: 'direct', max: 1 })
  resources.defer(() => seeding.end())
  const run = async (statement: string) => seeding.unsafe(statement)
  // The rows are made to fit each other. To check millions of foreign keys takes longer than to
  // insert the rows.
  await run("set session_replication_role = 'replica'")
  await growTables(run, size)
  let statements = 0
  const client = connectPostgres(config.database, { applicationName: 'bench', route: 'pooled', max: CLIENTS })
  resources.defer(() => client.end())
  const db = drizzlePostgres(client, {
    schema: tables,
    casing: 'snake_case',
    logger: {
      logQuery: () => {
        statements += 1
      },
    },
  })
  const log = createLog('error', { write: (line) => void process.stderr.write(line) })
  const deps = createDeps({
    db,
    config,
    log,
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress: createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 1, resolveHost: async () => [] }),
    eventNotifier: createEventNotifier(log, (userIds) => notifyOfEvents(db, userIds)),
    eventStreams: createEventStreams(3_600, streams),
  })
  const userIds = (count: number) => Array.from({ length: count }, (_, index) => userIdOf(index + 1))
  const token = { name: 'bench', scopes: ['accounts:read', 'tweets:read', 'events:read'], expiresInDays: 1 }
  const { secret } = await createApiToken(deps, { userId: userIdOf(1) }, token)
  const gateway = await startGateway(environment)
  resources.use(gateway)
  const kept = resources.move()
  return {
    size,
    deps,
    statementCount: () => statements,
    userIds,
    run,
    secret,
    url: gateway.url,
    pid: gateway.pid,
    postmasterPid: readPostmasterPid(server),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
