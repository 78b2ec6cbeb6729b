// The encryption keys of the running instances. Each instance announces its keys by shared advisory
// locks of the session that listens for notifications: PostgreSQL releases them when the instance
// stops, is killed or loses its connection. The embedded database has one instance.
import { sql } from 'drizzle-orm'
import type { KeyRing } from '../crypto.ts'
import { type Database, queryRows } from './client.ts'

const WRITES = "hashtext('xconnect-key-writes')"
const KNOWS = "hashtext('xconnect-key-known')"

/**
 * The statement that announces the keys of an instance, in the session that listens. Ids of keys
 * have letters, digits, - and _ alone.
 */
export function announceKeys([first, ...others]: KeyRing): string {
  const locks = [lock(WRITES, first.id), ...[first, ...others].map(({ id }) => lock(KNOWS, id))]
  return `select ${locks.join(', ')}`
}

// Never waits: nothing locks them exclusively.
function lock(kind: string, keyId: string): string {
  return `pg_try_advisory_lock_shared(${kind}, hashtext('${keyId}'))`
}

/** The running instances: their number, and those that lack a key or encrypt with another one. */
export type RunningInstances = { running: number; lacking: number; writingOthers: number }

/** Counts the running instances by what they do with the key `keyId`. */
export async function countInstances({ db, source }: Database, keyId: string): Promise<RunningInstances> {
  if (source.kind === 'pglite') return { running: 0, lacking: 0, writingOthers: 0 }
  const isOfKind = (alias: string, kind: string) =>
    sql.raw(`${alias}.locktype = 'advisory' and ${alias}.objsubid = 2 and ${alias}.granted and ${alias}.database = own.oid
      and ${alias}.classid = ${asOid(kind)}`)
  const id = sql`(hashtext(${keyId})::bigint & 4294967295)::oid`
  const [counts] = await queryRows(
    db,
    sql`select count(*)::int as running,
      count(*) filter (where not exists (
        select from pg_locks known where ${isOfKind('known', KNOWS)} and known.pid = writes.pid and known.objid = ${id}
      ))::int as lacking,
      count(*) filter (where writes.objid <> ${id})::int as "writingOthers"
    from pg_locks writes, (select oid from pg_database where datname = current_database()) own
    where ${isOfKind('writes', WRITES)}`,
  )
  const { running, lacking, writingOthers } = counts ?? {}
  return { running: Number(running), lacking: Number(lacking), writingOthers: Number(writingOthers) }
}

// A hash is signed, and a column of pg_locks is not.
function asOid(kind: string): string {
  return `(${kind}::bigint & 4294967295)::oid`
}
