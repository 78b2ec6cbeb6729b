// Checks at the start whether a pooler between the gateway and PostgreSQL keeps sessions. In
// transaction mode, a session-level lock would stay on a server connection of the pooler, and the
// next start would wait for it without end.

import type { Sql } from 'postgres'
import type { PostgresConfig } from '../config/database-config.ts'
import { StartupError } from '../process/startup-error.ts'
import { withTimeout } from '../process/with-timeout.ts'
import { connectPostgres } from './connection.ts'
import { sessionSettings } from './session-settings.ts'

/** The pooler does not fit the configuration. The message says what to set. */
export class PoolerError extends StartupError {
  constructor(sentence: string) {
    super(`${sentence} Nothing was changed.`, 78)
    this.name = 'PoolerError'
  }
}

const APPLICATION = 'xconnect-gateway'
// A pooler that does not keep sessions fails in the first round, unless other clients use its
// connections at that moment.
const ROUNDS_BEHIND_POOLER = 8
const SECOND_CONNECTION_SECONDS = 5

/**
 * Checks that connections which need a session of their own have one.
 * @throws PoolerError when the address leads to a pooler in transaction or statement mode;
 *   StartupError when there is no room for a second connection; whatever the driver throws when
 *   none can be made.
 */
export async function assertKeepsSession(config: PostgresConfig): Promise<void> {
  const options = { applicationName: APPLICATION, route: 'direct', max: 1 } as const
  const [first, second] = [connectPostgres(config, options), connectPostgres(config, options)]
  try {
    const { pid, announced } = await withTimeout(SECOND_CONNECTION_SECONDS, readBackend(first), failWithoutConnection)
    // A pooler announces a process id of its own to each client, for cancel requests.
    const rounds = announced === pid ? 1 : ROUNDS_BEHIND_POOLER
    for (let round = 0; round < rounds; round++) {
      const lending = second.begin(async (client) => {
        const taken = await client`select pg_backend_pid() as pid`
        // While the second client has a server connection, the first one would get another.
        return Number(taken[0]?.pid) === pid || (await readBackend(first)).pid !== pid
      })
      if (await withTimeout(SECOND_CONNECTION_SECONDS, lending.catch(refuseStatementMode), failWithoutConnection))
        throw new PoolerError(explainTransactionMode(config))
    }
  } finally {
    await Promise.all([first, second].map((client) => client.end({ timeout: 1 })))
  }
}

/**
 * Checks that the connection through a pooler in transaction mode reaches the same database as the
 * direct one, and that its sessions have the settings on which the text of values depends: the
 * gateway cannot set them in a shared session.
 * @throws PoolerError
 */
export async function assertPooledDatabase(config: PostgresConfig): Promise<void> {
  const direct = connectPostgres(config, { applicationName: APPLICATION, route: 'direct', max: 1 })
  const pooled = connectPostgres(config, { applicationName: APPLICATION, route: 'pooled', max: 1 })
  try {
    const key = Math.floor(Math.random() * 2 ** 31)
    // The session keeps the lock until the connection is closed.
    const [own] = await direct`select pg_backend_pid() as pid, pg_advisory_lock(0, ${key})`
    const seen = await pooled
      .begin(
        (client) => client`select from pg_locks where locktype = 'advisory' and classid = 0 and objid::bigint = ${key}
          and pid = ${Number(own?.pid)} and database = (select oid from pg_database where datname = current_database())`,
      )
      .catch(refuseStatementMode)
    if (seen.length !== 1)
      throw new PoolerError('DATABASE_URL and DATABASE_DIRECT_URL lead to two databases. They must name one.')
    const needed = new Map(Object.entries(sessionSettings).map(([name, value]) => [name.toLowerCase(), value]))
    const rows = await pooled`select lower(name) as name, setting, current_user as role from pg_settings`
    // The timeouts are set in each transaction.
    const wrong = rows.filter(
      ({ name, setting }) => !name.endsWith('_timeout') && needed.has(name) && needed.get(name) !== setting,
    )
    if (wrong.length > 0)
      throw new PoolerError(
        `Behind the pooler of DATABASE_URL sessions have other settings than the gateway needs, and with DATABASE_POOLER=transaction it cannot set them. Run ${wrong
          .map(({ name, role }) => `ALTER ROLE "${role}" SET ${name} = '${needed.get(name)}'`)
          .join('; ')}; then let the pooler reconnect (PgBouncer: RECONNECT).`,
      )
  } finally {
    await Promise.all([direct, pooled].map((client) => client.end({ timeout: 1 })))
  }
}

/**
 * Returns the process id of the server connection, and the one that was announced when the
 * connection was opened.
 */
async function readBackend(client: Sql): Promise<{ pid: number; announced: number | undefined }> {
  const rows = await client`select pg_backend_pid() as pid`
  return { pid: Number(rows[0]?.pid), announced: rows.state?.pid }
}

// A pooler whose pool is used up lets a client wait, by default for two minutes.
function failWithoutConnection(): never {
  throw new StartupError(
    `The database gave no second connection within ${SECOND_CONNECTION_SECONDS} s. Let the pooler have more of them (PgBouncer: default_pool_size), or end what uses them up.`,
    1,
  )
}

function explainTransactionMode({ direct }: PostgresConfig): string {
  return direct === null
    ? 'DATABASE_URL leads to a pooler in transaction mode: one session was given two server connections. Set DATABASE_POOLER=transaction, and DATABASE_DIRECT_URL to the address of the same database past the pooler; or let DATABASE_URL lead to a pooler in session mode, or to PostgreSQL itself.'
    : 'DATABASE_DIRECT_URL leads to a pooler in transaction mode: one session was given two server connections. Give the address of PostgreSQL itself, or of a pooler in session mode.'
}

function refuseStatementMode(error: unknown): never {
  if (error instanceof Error && /statement pooling/i.test(error.message))
    throw new PoolerError(
      'The address leads to a pooler in statement mode, which allows no transactions. Use session mode, or transaction mode with DATABASE_POOLER=transaction.',
    )
  throw error
}
