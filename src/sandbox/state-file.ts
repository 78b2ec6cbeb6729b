import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { createState } from './initial-state.ts'
import { type State, stateSchema } from './state.ts'

/**
 * Returns the state in the file, or a new state when there is no file. A file that does not parse
 * is an error, because a new state would disconnect every account.
 */
export function loadState(path: string | null): State {
  if (path === null) return createState()
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return createState()
    throw cause
  }
  try {
    return stateSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new Error(`The sandbox cannot read ${path}. Delete the file to start with a fresh sandbox.`, { cause })
  }
}

/**
 * Writes the state to a second file and renames it, so that a crash leaves the old state or the new
 * one. Mode 0600: it contains tokens.
 */
export function saveState(path: string | null, state: State): void {
  if (path === null) return
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 })
  renameSync(temporary, path)
}
