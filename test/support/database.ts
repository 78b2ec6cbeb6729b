/** A database for a test. Which kind it is, is the vitest project's choice and never the test's: stories run on both. */
import { cpSync } from 'node:fs'
import { inject } from 'vitest'
import { createDatabase, type PostgresAddress } from './postgres.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'

export type DatabaseKind = 'pglite' | 'postgres'

declare module 'vitest' {
  interface ProvidedContext {
    databaseKind: DatabaseKind
    /** The cluster of the run: set in the projects `postgres` and `process`. */
    postgres: PostgresAddress
    /** A migrated DATA_DIR to be copied: set in the projects `pglite` and `process`. */
    pgliteTemplate: string
  }
}

export type TestDatabase = {
  kind: DatabaseKind
  /** A directory of its own, on either kind. */
  dataDir: string
  /** What `parseConfig`, or a gateway in a process of its own, must be given to use this database. */
  environment: { DATA_DIR: string; DATABASE_URL?: string }
  /** Close the gateways that use it first: PGlite has no other way of letting go. */
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export function databaseKind(): DatabaseKind {
  return inject('databaseKind')
}

/** A fresh, migrated, empty database. */
export async function createTestDatabase(kind: DatabaseKind = databaseKind()): Promise<TestDatabase> {
  await using resources = new AsyncDisposableStack()
  const dataDir = resources.use(await makeTemporaryDirectory('data')).path
  const environment: TestDatabase['environment'] = { DATA_DIR: dataDir }
  if (kind === 'postgres') {
    const database = await createDatabase(inject('postgres'))
    resources.defer(() => database.drop())
    environment.DATABASE_URL = database.url
  } else {
    // Ten times faster than its asynchronous sibling, for a thousand small files.
    cpSync(inject('pgliteTemplate'), dataDir, { recursive: true })
  }
  const kept = resources.move()
  const remove = () => kept.disposeAsync()
  return { kind, dataDir, environment, remove, [Symbol.asyncDispose]: remove }
}
