// Checks the privileges of the role of DATABASE_URL before anything is changed. PostgreSQL reports
// "permission denied" for one object; these messages list all missing GRANT statements at once.
import { getTableName, is, sql } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { StartupError } from '../process/startup-error.ts'
import { type Db, queryRows } from './client.ts'
import * as tables from './tables.ts'

/**
 * The role of DATABASE_URL lacks a privilege. The message contains the statements that grant it.
 */
export class MissingGrantError extends StartupError {
  constructor(sentence: string) {
    super(`${sentence} Nothing was changed.`, 78)
    this.name = 'MissingGrantError'
  }
}

/** The schema of the job queue; jobs/queue.ts creates its tables. */
export const JOBS_SCHEMA = 'pgboss'
/** The schema of the table of applied migrations. */
export const MIGRATIONS_SCHEMA = 'drizzle'

type Reader = Pick<Db, 'execute'>

/**
 * Returns the missing GRANT statements for the objects that exist; none for the owner of the
 * tables.
 */
export async function findMissingGrants(db: Reader): Promise<string[]> {
  const own = Object.values(tables).flatMap((table) => (is(table, PgTable) ? [getTableName(table)] : []))
  const rows = await queryRows(
    db,
    sql`with ours as (
        select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and (n.nspname in (${MIGRATIONS_SCHEMA}, ${JOBS_SCHEMA})
          or (n.nspname = 'public' and c.relname in (${sql.join(
            own.map((name) => sql`${name}`),
            sql`, `,
          )})))
      )
      select 1 as step, format('GRANT USAGE ON SCHEMA %I TO %I', nspname, current_user) as statement
        from pg_namespace where nspname in ('public', ${MIGRATIONS_SCHEMA}, ${JOBS_SCHEMA}) and not has_schema_privilege(oid, 'usage')
      union all
      select 2, format('GRANT SELECT ON %I.%I TO %I', nspname, relname, current_user)
        from ours where relname = '__drizzle_migrations' and not has_table_privilege(oid, 'select')
      union all
      select 3, format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', string_agg(format('%I.%I', nspname, relname), ', ' order by relname), current_user)
        from ours where nspname <> ${MIGRATIONS_SCHEMA} and not (has_table_privilege(oid, 'select')
          and has_table_privilege(oid, 'insert') and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete'))
        group by nspname
      union all
      select 4, format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::regprocedure, current_user) from pg_proc
        where pronamespace = 'public'::regnamespace and proname in ('xconnect_now', 'xconnect_create_months_ahead', 'xconnect_drop_past_months')
          and not has_function_privilege(oid, 'execute')
      order by step, statement`,
  )
  return rows.map(({ statement }) => String(statement))
}

/** @throws MissingGrantError when the role lacks a privilege on an object that exists. */
export async function assertMayServe(db: Reader): Promise<void> {
  const missing = await findMissingGrants(db)
  if (missing.length > 0) throw new MissingGrantError(explainMissingGrants(missing))
}

/** Returns the message for the result of `findMissingGrants`. */
export function explainMissingGrants(statements: readonly string[]): string {
  return `The role of DATABASE_URL lacks rights. Run this as the owner of the tables: ${statements.join('; ')};`
}

/**
 * @throws MissingGrantError when the role may not create the objects of `pending` migrations, or
 *   does not own the tables.
 */
export async function assertMayMigrate(db: Reader, pending: number): Promise<void> {
  const [row] = await queryRows(
    db,
    sql`select current_user as role,
      case when (to_regnamespace(${MIGRATIONS_SCHEMA}) is null or to_regnamespace(${JOBS_SCHEMA}) is null) and not has_database_privilege(current_database(), 'create')
        then format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) end as on_database,
      case when not has_schema_privilege('public', 'create') then format('GRANT CREATE ON SCHEMA public TO %I', current_user) end as on_public,
      (select pg_get_userbyid(relowner) from pg_class where oid = to_regclass('public.users') and not pg_has_role(relowner, 'usage')) as owner`,
  )
  const { owner } = row ?? {}
  const work = pending === 1 ? 'one migration is' : `${pending} migrations are`
  if (typeof owner === 'string')
    throw new MissingGrantError(
      `The tables belong to the role "${owner}", and ${work} to be made, which the role "${String(row?.role)}" may not. Run xconnect migrate with a DATABASE_URL of "${owner}", then start again.`,
    )
  const missing = [row?.on_database, row?.on_public].filter((statement) => typeof statement === 'string')
  if (missing.length > 0)
    throw new MissingGrantError(
      `The role "${String(row?.role)}" may not create the tables. Run xconnect migrate as a role that may, or run this as the owner of the database: ${missing.join('; ')};`,
    )
}
