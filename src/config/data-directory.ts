import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'

/**
 * Makes DATA_DIR, and what it lies in, for this user alone. What is there already stays as it is.
 * @throws an error of the file system: see `explainUnusableDirectory`.
 */
export function makeDataDirectory(directory: string): void {
  // Not by `recursive` of Node's: where the system says that nothing can be in the parent, as in /proc, that tries again for ever.
  if (isDirectory(directory)) return
  const parent = path.dirname(directory)
  if (parent !== directory) makeDataDirectory(parent)
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    // Another process that starts as well may have made it meanwhile.
    if (!isDirectory(directory)) throw error
  }
}

/** The sentence for a directory in which nothing can be made or written. */
export function explainUnusableDirectory(directory: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
  return `DATA_DIR: the directory ${directory} cannot be used${code}. Name one that this process may create or write in.`
}

function isDirectory(directory: string): boolean {
  return statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false
}
