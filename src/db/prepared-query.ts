// Queries whose text is built once. Drizzle takes longer to compose a large statement than
// PostgreSQL to execute it. Here a text is kept for its database, and runs on the pool and in any
// transaction, without Drizzle's layers of promises and spans.
import { DrizzleQueryError, is, Param, Placeholder, sql } from 'drizzle-orm'
import type { Db } from './client.ts'
import type { Clock } from './clock.ts'
import type { QueryOptions } from './deadlines.ts'
import { createRowMapper, type RawRow, type SelectedField } from './row-mapper.ts'

/** The values of the placeholders of a query, by name. */
export type QueryValues = Readonly<Record<string, unknown>>

type QueryDeps = { db: Db; clock: Clock }
type DrizzleQuery<Row> = { prepare(name: string): { execute(values?: Record<string, unknown>): Promise<Row[]> } }

/** The parts of a prepared query, which Drizzle's types do not name. */
type Parts = {
  queryString: string
  params: readonly unknown[]
  fields: readonly SelectedField[]
  joinsNotNullableMap: Record<string, boolean> | undefined
  logger: { logQuery(text: string, parameters: unknown[]): void }
  /** Of PGlite alone. */
  queryConfig?: unknown
}
type Client = Postgres | Pglite
type Postgres = {
  unsafe(text: string, parameters: unknown[], options: QueryOptions): { values(): PromiseLike<RawRow[]> }
}
type Pglite = { query(text: string, parameters: unknown[], options: unknown): Promise<{ rows: RawRow[] }> }
type Run<Row> = (db: Db, values: QueryValues) => Promise<Row[]>

/**
 * Returns a function that runs a query, whose text is built at the first call for a database.
 * @param build must use nothing of its argument but the handle and the clock, and describes what
 *   differs between calls by placeholders.
 * @param options how it is sent outside of transactions.
 */
export function prepareQuery<Row>(
  build: (deps: QueryDeps) => DrizzleQuery<Row>,
  options: QueryOptions = {},
): (deps: QueryDeps, values: QueryValues) => Promise<Row[]> {
  const run = prepareForms(
    () => '',
    build,
    () => options,
  )
  return (deps, values) => run(deps, null, values)
}

/**
 * Like `prepareQuery`, for a query with several forms, such as with and without a condition. The
 * text of each is kept, so there must be few.
 * @param nameForm tells the forms apart.
 */
export function prepareForms<Form, Row>(
  nameForm: (form: Form) => string,
  build: (deps: QueryDeps, form: Form) => DrizzleQuery<Row>,
  choose: (form: Form) => QueryOptions = () => ({}),
): (deps: QueryDeps, form: Form, values: QueryValues) => Promise<Row[]> {
  // Transactions have their own handles, which share the dialect of their pool.
  const byDatabase = new WeakMap<object, WeakMap<Clock, Map<string, Run<Row>>>>()
  return (deps, form, values) => {
    const forms = findOrAdd(
      findOrAdd(byDatabase, dialectOf(deps.db), () => new WeakMap()),
      deps.clock,
      () => new Map(),
    )
    const run = findOrAdd(forms, nameForm(form), () => createRun(build(deps, form), choose(form)))
    return run(deps.db, values)
  }
}

/**
 * A LIMIT that is written into the text of a query. Where it is a parameter, PostgreSQL plans the
 * query again for each execution.
 */
export function fixedLimit(limit: number): Placeholder {
  // Its type allows no expression.
  return sql.raw(String(limit)) as unknown as Placeholder
}

function createRun<Row>(query: DrizzleQuery<Row>, options: QueryOptions): Run<Row> {
  // All statements are named by the driver: this name is not used.
  const { queryString, params, fields, joinsNotNullableMap, logger, queryConfig } = query.prepare(
    'query',
  ) as unknown as Parts
  const mapRow = createRowMapper<Row>(fields, joinsNotNullableMap)
  return async (db, values) => {
    const parameters = fillParameters(params, values)
    logger.logQuery(queryString, parameters)
    let rows: RawRow[]
    try {
      const client = clientOf(db)
      rows =
        'unsafe' in client
          ? await client.unsafe(queryString, parameters, options).values()
          : (await client.query(queryString, parameters, queryConfig)).rows
    } catch (error) {
      throw new DrizzleQueryError(queryString, parameters, error instanceof Error ? error : undefined)
    }
    return rows.map(mapRow)
  }
}

// Unlike Drizzle's own function, null is not encoded: the encoder of a timestamp would throw.
function fillParameters(parameters: readonly unknown[], values: QueryValues): unknown[] {
  return parameters.map((parameter) => {
    if (is(parameter, Placeholder)) return findValue(parameter, values)
    if (!is(parameter, Param) || !is(parameter.value, Placeholder)) return parameter
    const value = findValue(parameter.value, values)
    return value === null ? null : parameter.encoder.mapToDriverValue(value)
  })
}

function findValue({ name }: Placeholder, values: QueryValues): unknown {
  const value = values[name]
  if (value === undefined) throw new Error(`Bug: a query has no value for ${name}`)
  return value
}

function findOrAdd<Key extends WeakKey, Value>(
  map: Pick<WeakMap<Key, Value>, 'get' | 'set'>,
  key: Key,
  create: () => Value,
): Value
function findOrAdd<Value>(map: Map<string, Value>, key: string, create: () => Value): Value
function findOrAdd<Key, Value>(
  map: { get(key: Key): Value | undefined; set(key: Key, value: Value): unknown },
  key: Key,
  create: () => Value,
): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const value = create()
  map.set(key, value)
  return value
}

// Drizzle's types hide both.
function dialectOf(db: Db): object {
  return Reflect.get(db, 'dialect')
}

function clientOf(db: Db): Client {
  return Reflect.get(db._.session, 'client')
}
