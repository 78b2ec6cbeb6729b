import { chmodSync, mkdirSync, statSync } from 'node:fs'
import path from 'node:path'

/**
 * Creates DATA_DIR and its missing parents, accessible to this user only. Existing directories keep
 * their permissions.
 * @throws an error of the file system; `explainUnusableDirectory` describes it.
 */
export function makeDataDirectory(directory: string): void {
  // Without Node's option `recursive`, which loops for ever where the parent accepts no entries, as
  // in /proc.
  if (isDirectory(directory)) return
  const parent = path.dirname(directory)
  if (parent !== directory) makeDataDirectory(parent)
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    // Another process that is starting may have created it meanwhile.
    if (!isDirectory(directory)) throw error
  }
}

/**
 * Removes the access of other users from a file or directory of the gateway, if it exists. DATA_DIR
 * itself keeps its permissions: it may hold more than what the gateway has put there.
 * @throws an error of the file system where it belongs to another user.
 */
export function closeToOthers(place: string): void {
  const mode = statSync(place, { throwIfNoEntry: false })?.mode ?? 0
  if ((mode & 0o077) !== 0) chmodSync(place, mode & 0o700)
}

/** The sentence for a DATA_DIR that cannot be created or written. */
export function explainUnusableDirectory(directory: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
  return `DATA_DIR: the directory ${directory} cannot be used${code}. Set it to a directory that this process may create or write to.`
}

function isDirectory(directory: string): boolean {
  return statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false
}
