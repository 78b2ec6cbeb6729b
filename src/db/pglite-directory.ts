// Locks the directory of the embedded database: two processes in one directory lose data silently.
// This file imports little, so that a second process is refused before it loads the gateway.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { closeToOthers, explainUnusableDirectory, makeDataDirectory } from '../config/data-directory.ts'
import { StartupError } from '../process/startup-error.ts'

/** The embedded database's directory is in use by another process. */
export class DirectoryInUseError extends StartupError {
  /** The id of that process, or "(unknown)". */
  readonly holder: string

  constructor(directory: string, holder: string) {
    super(
      `The embedded database in ${directory} is in use by process ${holder}. Stop that one, or give this one its own DATA_DIR, or let both share PostgreSQL by DATABASE_URL.`,
      1,
    )
    this.name = 'DirectoryInUseError'
    this.holder = holder
  }
}

/**
 * Locks the directory until the process ends or the returned function is called.
 * @throws DirectoryInUseError when another process has locked it; StartupError when it cannot be
 *   created or written to.
 */
export function lockDirectory(directory: string): () => void {
  try {
    return lock(directory)
  } catch (error) {
    if (error instanceof StartupError) throw error
    throw new StartupError(explainUnusableDirectory(path.dirname(directory), error), 78)
  }
}

function lock(directory: string): () => void {
  makeDataDirectory(path.dirname(directory))
  try {
    closeToOthers(directory)
  } catch {
    throw new StartupError(
      `DATA_DIR: other users can read the embedded database in ${directory}, which belongs to another user than this process. Run chmod 700 on it, or chown it to the user of this process.`,
      78,
    )
  }
  const holderFile = `${directory}.pid`
  // The operating system releases SQLite's exclusive lock however the process ends. A file with a
  // process id would survive a kill -9, and could not be taken over without a race.
  const lockFile = new DatabaseSync(`${directory}.lock`)
  try {
    lockFile.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lockFile.close()
    if (error instanceof Error && error.message.includes('locked'))
      throw new DirectoryInUseError(directory, readHolder(holderFile))
    throw error
  }
  closeToOthers(`${directory}.lock`)
  writeFileSync(holderFile, `${process.pid}\n`)
  return () => lockFile.close()
}

function readHolder(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return '(unknown)'
  }
}
