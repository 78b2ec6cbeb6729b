// Reads the whole database, to be searched for secrets that must not be in it.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import { queryRows } from './connected-account.ts'
import type { World } from './harness.ts'

/** Returns every row of every table as text, including those of the job queue. */
export async function readEveryRow(world: World): Promise<string> {
  const tables = await queryRows(
    world,
    sql`select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
  )
  const names = tables.map(({ name }) => String(name))
  for (const name of ['public.oauth_tokens', 'public.sessions', 'pgboss.job'])
    if (!names.includes(name)) throw new Error(`The dump lacks ${name}`)
  const rows: string[] = []
  for (const name of names) {
    const found = await queryRows(world, sql.raw(`select "row"::text as "text" from ${name} as "row"`))
    rows.push(...found.map(({ text }) => String(text)))
  }
  return rows.join('\n')
}

/** Returns the bytes of every file below a directory. */
export function readEveryFile(directory: string): Buffer {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Buffer.concat(files.map((entry) => readFileSync(path.join(entry.parentPath, entry.name))))
}
