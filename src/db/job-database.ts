// The PostgreSQL connections of the job queue, with the driver, address and pooler of all others.
import type { Sql } from 'postgres'
import type { PostgresConfig } from '../config/database-config.ts'
import { connectPostgres } from './connection.ts'
import { withDeadlines } from './deadlines.ts'

/** The interface through which pg-boss executes SQL. */
export type JobDatabase = {
  // biome-ignore lint/suspicious/noExplicitAny: pg-boss's own type of a row.
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[] }>
  close(): Promise<void>
}

// Above the 30 s that pg-boss waits for a lock of another instance, whose error says more.
const DEADLINE_SECONDS = 60
// pg-boss sends maintenance as scripts in one message: `BEGIN; …; COMMIT;`.
const SCRIPT = /^\s*BEGIN\b/i

/** Opens one connection for statements, and one for scripts, which is closed when idle. */
export function openJobDatabase(config: PostgresConfig): JobDatabase {
  const connect = (idleSeconds: number) =>
    connectPostgres(config, {
      applicationName: 'xconnect-gateway-jobs',
      route: 'pooled',
      max: 1,
      idleSeconds,
      // pg-boss gives JSON as text.
      types: {
        json: {
          to: 114,
          from: [114, 3802],
          serialize: (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)),
          parse: (text: string) => JSON.parse(text),
        },
      },
    })
  const [statements, scripts] = [connect(60), connect(10)]
  const bound = withDeadlines(statements, DEADLINE_SECONDS)
  const boundScripts = withDeadlines(scripts, DEADLINE_SECONDS)
  return {
    executeSql: async (text, values = []) => {
      if (SCRIPT.test(text)) return { rows: await runScript(boundScripts, text) }
      const given = values.map((value) => value ?? null)
      return { rows: flatten(await bound.unsafe(text, given as never[])) }
    },
    close: async () => void (await Promise.all([statements, scripts].map((client) => client.end({ timeout: 1 })))),
  }
}

async function runScript(client: Sql, text: string): Promise<unknown[]> {
  try {
    return flatten(await client.unsafe(text))
  } catch (error) {
    // A script that fails leaves its transaction open, in which the next one would fail.
    await client.unsafe('rollback').catch(() => {})
    throw error
  }
}

// One statement returns an array of rows; several statements return an array of arrays.
function flatten(rows: unknown): unknown[] {
  return Array.isArray(rows) ? rows.flat() : []
}
