// The queries of the most frequent requests. Drizzle builds their text once for a handle, and they run
// without its layers of promises and spans.
import { DrizzleQueryError, fillPlaceholders } from 'drizzle-orm'
import { createRowMapper, type RawRow, type SelectedField } from './row-mapper.ts'

/** Runs a query. @param values the values of its placeholders, by name. */
export type PreparedQuery<Row> = (values: Record<string, unknown>) => Promise<Row[]>

type DrizzleQuery<Row> = { prepare(name: string): { execute(values?: Record<string, unknown>): Promise<Row[]> } }

/** The parts of a prepared query, which Drizzle's types do not name. */
type Parts = {
  queryString: string
  params: unknown[]
  fields: readonly SelectedField[]
  joinsNotNullableMap: Record<string, boolean> | undefined
  logger: { logQuery(text: string, parameters: unknown[]): void }
  client: Postgres | Pglite
  /** Of PGlite alone. */
  queryConfig?: unknown
}
type Postgres = { unsafe(text: string, parameters: unknown[]): { values(): PromiseLike<RawRow[]> } }
type Pglite = { query(text: string, parameters: unknown[], options: unknown): Promise<{ rows: RawRow[] }> }

/** Prepares a query on its handle. The rows are those that Drizzle returns. */
export function prepareQuery<Row>(query: DrizzleQuery<Row>): PreparedQuery<Row> {
  // All statements are named by the driver: this name is not used.
  const { queryString, params, fields, joinsNotNullableMap, logger, ...parts } = query.prepare(
    'query',
  ) as unknown as Parts
  const mapRow = createRowMapper<Row>(fields, joinsNotNullableMap)
  const run = createRunner(queryString, parts)
  return async (values) => {
    const parameters = fillPlaceholders(params, values)
    logger.logQuery(queryString, parameters)
    let rows: RawRow[]
    try {
      rows = await run(parameters)
    } catch (error) {
      throw new DrizzleQueryError(queryString, parameters, error instanceof Error ? error : undefined)
    }
    return rows.map(mapRow)
  }
}

function createRunner(
  text: string,
  { client, queryConfig }: Pick<Parts, 'client' | 'queryConfig'>,
): (parameters: unknown[]) => PromiseLike<RawRow[]> {
  return 'unsafe' in client
    ? (parameters) => client.unsafe(text, parameters).values()
    : async (parameters) => (await client.query(text, parameters, queryConfig)).rows
}
