import type { Sql } from 'postgres'
import { postgres } from '../../../src/db/postgres.ts'
import { type PostgresServer, startPostgresServer } from '../../support/postgres.ts'
import { openStage, type Stage, type StageOptions } from './stage.ts'

/** A stage whose gateways share a PostgreSQL server, which can fail too. */
export type Arena = Stage & {
  server: PostgresServer
  /** For reading rows; under its own application name. */
  sql: Sql
}

const CHAOS_APPLICATION = 'chaos'

/** Opens an arena on an empty database, without starting its gateways. */
export async function openArena(options: StageOptions): Promise<Arena> {
  await using resources = new AsyncDisposableStack()
  const server = resources.use(await startPostgresServer())
  const { url } = await server.createDatabase()
  const sql = connect(url)
  resources.defer(() => sql.end({ timeout: 1 }))
  const stage = resources.use(await openStage(options, { url }))
  const kept = resources.move()
  return { ...stage, server, sql, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function connect(url: string): Sql {
  return postgres(url, { max: 3, onnotice: () => {}, connection: { application_name: CHAOS_APPLICATION } })
}
