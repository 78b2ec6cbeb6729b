// postgres.js, repaired as it is loaded. Its 3.4.9 forgets in some places that a connection can be lost. A statement, or its own
// ROLLBACK, is then written to a socket that is null, from a timer where nobody can catch it, or its own first query fails where nobody
// does: the process ends. A timer that was cancelled is taken for one that will fire: the connection never sends a byte again. The rest
// of a transaction runs on the next connection, each statement for itself. (github.com/porsager/postgres, issues 1154 and 1208, open.)
//
// It also takes any response to COMMIT for success. A server whose transaction has failed answers COMMIT with the command tag
// ROLLBACK, and keeps nothing. The driver sends COMMIT as a named statement and repeats it when the server does not know that name,
// as behind a pooler in transaction mode: the first try fails the transaction, the second is answered by ROLLBACK. So COMMIT goes as a
// simple query, which has no name, and every transaction is judged by its tag.
// Import the driver from here alone: whoever loads it first gets it unrepaired, and so does everybody after.
import { registerHooks } from 'node:module'
import { COMMIT_ROLLED_BACK, COMMIT_ROLLED_BACK_SENTENCE } from './commit.ts'

type Repair = { text: string; by: string; times: number }

const REPAIRS: Record<string, readonly Repair[]> = {
  '/postgres/src/connection.js': [
    {
      text: '\n    clearImmediate(nextWriteTimer)\n',
      by: '\n    clearImmediate(nextWriteTimer)\n    chunk = nextWriteTimer = null\n',
      times: 2,
    },
    {
      text: 'const x = socket.write(chunk, fn)',
      by: `if (socket === null) {
      chunk = nextWriteTimer = null
      return error(Errors.connection('CONNECTION_CLOSED', options, socket)), false
    }
    const x = socket.write(chunk, fn)`,
      times: 1,
    },
    { text: 'return fetchArrayTypes()', by: 'return fetchArrayTypes().catch(() => (needsTypes = true))', times: 1 },
    {
      text: '\n    final && (final(), final = null)\n',
      by: `
    final && (final(), final = null)
    if (result.command === 'ROLLBACK' && query && !/\\b(?:rollback|abort)\\b/i.test(query.string))
      errorResponse = Errors.generic('${COMMIT_ROLLED_BACK}', '${COMMIT_ROLLED_BACK_SENTENCE}')
`,
      times: 1,
    },
  ],
  '/postgres/src/index.js': [
    {
      text: 'new Promise((_, reject) => connection.onclose = reject)',
      by: 'new Promise((_, reject) => connection.onclose = error => (lost = error, reject(error)))',
      times: 1,
    },
    { text: 'await sql`commit`', by: "await sql.unsafe('commit')", times: 1 },
    { text: ': sql`rollback`', by: ": sql.unsafe('rollback')", times: 1 },
    {
      text: 'let savepoints = 0\n      , connection',
      by: 'let savepoints = 0\n      , lost\n      , connection',
      times: 1,
    },
    {
      text: 'q.catch(e => uncaughtError || (uncaughtError = e))',
      by: 'q.catch(e => uncaughtError || (uncaughtError = e))\n        if (lost) return q.reject(lost)',
      times: 1,
    },
  ],
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const repairs = Object.entries(REPAIRS).find(([file]) => url.endsWith(file))?.[1]
    return repairs === undefined ? loaded : { ...loaded, source: repairs.reduce(apply, String(loaded.source)) }
  },
})

/** The driver. */
export const { default: postgres } = await import('postgres')
/** Drizzle on that driver. */
export const { drizzle: drizzlePostgres } = await import('drizzle-orm/postgres-js')

function apply(source: string, { text, by, times }: Repair): string {
  const found = source.split(text).length - 1
  // Another release of the driver: see whether it still needs the repair.
  if (found !== times)
    throw new Error(`Bug: postgres.js has "${text}" ${found} times, not ${times}; see src/db/driver.ts`)
  return source.replaceAll(text, by)
}
