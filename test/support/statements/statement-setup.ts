import { mkdtempSync } from 'node:fs'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeTemporaryDirectory } from '../temporary-directory.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the log of statements. */
    statementLog: string
    /** True if a part of the tests was asked for by name. */
    isFiltered: boolean
  }
}

/**
 * Creates the directory of the log of statements, once for the whole run. With the environment
 * variable KEEP_STATEMENTS, which names a directory, the log is kept in a new directory there.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.getProvidedContext().statementLog) return undefined
  const kept = process.env.KEEP_STATEMENTS
  const directory = kept === undefined ? await makeTemporaryDirectory('statements') : null
  const root = project.vitest.getRootProject()
  root.provide('isFiltered', root.config.testNamePattern !== undefined)
  root.provide('statementLog', directory?.path ?? mkdtempSync(path.resolve(kept ?? '', 'run-')))
  return () => directory?.remove() ?? Promise.resolve()
}
