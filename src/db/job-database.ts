// The job queue's way to PostgreSQL: the same driver, address and pooler as everything else's.
import type { Sql } from 'postgres'
import type { PostgresConfig } from '../config/database-config.ts'
import { connectPostgres } from './connection.ts'
import { withDeadlines } from './deadlines.ts'

/** What pg-boss asks its statements of. */
export type JobDatabase = {
  // biome-ignore lint/suspicious/noExplicitAny: pg-boss's own type of a row.
  executeSql(text: string, values?: unknown[]): Promise<{ rows: any[] }>
  close(): Promise<void>
}

// pg-boss waits up to 30 s for a lock that another instance has, and says so better.
const DEADLINE_SECONDS = 60
// pg-boss sends its maintenance as scripts, `BEGIN; …; COMMIT;`, in one message.
const SCRIPT = /^\s*BEGIN\b/i

/** Opens it: one connection for statements, and one that is open now and then for scripts. */
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
    // A script that fails half-way leaves its transaction open, in which the next one would fail.
    await client.unsafe('rollback').catch(() => {})
    throw error
  }
}

// The rows of a statement are a list; of several statements there is a list for each.
function flatten(rows: unknown): unknown[] {
  return Array.isArray(rows) ? rows.flat() : []
}
