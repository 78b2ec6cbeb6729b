// Who has the embedded database's directory: two processes on one lose data without a word. Loads next to nothing, so that a second
// process is refused before it has loaded the rest.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { explainUnusableDirectory, makeDataDirectory } from '../config/data-directory.ts'
import { StartupError } from '../process/startup-error.ts'

/** The embedded database's directory is in use by another process. */
export class DirectoryInUseError extends StartupError {
  /** The id of that process, as far as it is known. */
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
 * Takes the directory for this process until it ends, or until the function that is returned is called.
 * @throws DirectoryInUseError when another process has it; StartupError when it cannot be made or written in.
 */
export function lockDirectory(directory: string): () => void {
  try {
    return hold(directory)
  } catch (error) {
    if (error instanceof StartupError) throw error
    throw new StartupError(explainUnusableDirectory(path.dirname(directory), error), 78)
  }
}

function hold(directory: string): () => void {
  makeDataDirectory(path.dirname(directory))
  const holderFile = `${directory}.pid`
  // SQLite's exclusive mode is a lock that the operating system drops when the process ends, however it ends. A file with a process
  // id in it would outlive a kill -9 and could not be taken over without a race.
  const lock = new DatabaseSync(`${directory}.lock`)
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if (error instanceof Error && error.message.includes('locked'))
      throw new DirectoryInUseError(directory, readHolder(holderFile))
    throw error
  }
  writeFileSync(holderFile, `${process.pid}\n`)
  return () => lock.close()
}

function readHolder(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return '(unknown)'
  }
}
