import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeTemporaryDirectory } from '../temporary-directory.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the log of statements. */
    statementLog: string
  }
}

/**
 * Creates the directory of the log of statements, once for the whole run. With the environment
 * variable KEEP_STATEMENTS, which names a directory, the log is kept there to be read.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.getProvidedContext().statementLog) return undefined
  const kept = process.env.KEEP_STATEMENTS
  const directory = kept === undefined ? await makeTemporaryDirectory('statements') : null
  project.vitest.getRootProject().provide('statementLog', directory?.path ?? path.resolve(kept ?? ''))
  return () => directory?.remove() ?? Promise.resolve()
}
