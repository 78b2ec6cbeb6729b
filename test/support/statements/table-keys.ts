// Which column says where the rows of each table belong: to a user, to a value that is unique over
// all users, or to no one shard. deploy/citus.sql distributes the tables by these columns.
import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import * as schema from '../../../src/db/tables.ts'

export type TableKey = {
  /**
   * `user`: rows of users, by the user's id. `look-up`: found by a value that is unique over all
   * users. `local`: a few rows of the deployment.
   */
  kind: 'user' | 'look-up' | 'local'
  /** The column that decides the shard; null for a local table. */
  column: string | null
  /** The names of all columns. */
  columns: ReadonlySet<string>
}

/** The keys of tables by their names. */
export type TableKeys = ReadonlyMap<string, TableKey>

// All other tables are users' tables, by user_id.
const others: Readonly<Record<string, Pick<TableKey, 'kind' | 'column'>>> = {
  users: { kind: 'user', column: 'id' },
  account_holders: { kind: 'look-up', column: 'provider_account_id' },
  user_identities: { kind: 'look-up', column: 'github_id' },
  user_logins: { kind: 'look-up', column: 'login' },
  user_deletions: { kind: 'look-up', column: 'id' },
  refused_connections: { kind: 'look-up', column: 'provider_account_id' },
  sign_in_attempts: { kind: 'look-up', column: 'state_hash' },
  secret_owners: { kind: 'look-up', column: 'secret_hash' },
  rate_limits: { kind: 'look-up', column: 'subject' },
  activity_stream: { kind: 'local', column: null },
  provider_problems: { kind: 'local', column: null },
  maintenance_runs: { kind: 'local', column: null },
  encryption_canaries: { kind: 'local', column: null },
  deployment: { kind: 'local', column: null },
  generations: { kind: 'local', column: null },
}

const configs = Object.values(schema)
  .filter((value) => is(value, PgTable))
  .map((table) => getTableConfig(table))

/** The tables of src/db/tables.ts. */
export const tableKeys: TableKeys = new Map(
  configs.map(({ name, columns }) => [
    name,
    {
      ...(others[name] ?? { kind: 'user', column: 'user_id' }),
      columns: new Set(columns.map((column) => toSnakeCase(column.name))),
    },
  ]),
)

// As Drizzle does with `casing: 'snake_case'`.
function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
