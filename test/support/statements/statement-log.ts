// A log of the statements that the product sends while the tests run, to be judged afterwards. Each
// process appends to files of its own, so that several workers and killed processes lose nothing.
import { appendFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** Where the statements of a test file are logged. */
export type StatementLog = {
  /** The directory of the whole run. */
  directory: string
  /** The test file that runs, from the repository's root. */
  file: string
}

/** A distinct statement of one test file. */
export type LoggedStatement = {
  /** As it was sent, with $1, $2, … for the parameters. */
  text: string
  /** The test file that caused it. */
  file: string
}

const lineShape = z.object({ text: z.string(), file: z.string() })

let current: StatementLog | null = null
// What this process has written: most statements are sent many times.
const written = new Set<string>()

/** Logs what follows for this test file; null logs nothing. */
export function logStatementsFor(log: StatementLog | null): void {
  current = log
  if (log !== null) mkdirSync(directoryOf(log.directory, log.file), { recursive: true })
}

/** Appends a statement, unless this process has logged it for this test file before. */
export function logStatement(text: string): void {
  if (current === null) return
  const { directory, file } = current
  // Lists of parameters have many lengths.
  const key = `${file} ${text.replace(/\$\d+(?:, ?\$\d+)+/g, '$…')}`
  if (written.has(key)) return
  written.add(key)
  const line = JSON.stringify({ text, file } satisfies LoggedStatement)
  appendFileSync(join(directoryOf(directory, file), `${process.pid}.jsonl`), `${line}\n`)
}

/** Returns the statements of one test file, or of all. */
export function readStatements(directory: string, file?: string): LoggedStatement[] {
  const root = file === undefined ? directory : directoryOf(directory, file)
  const logs = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  // A killed process may have written half a line.
  const lines = logs.flatMap((log) => readFileSync(join(log.parentPath, log.name), 'utf8').split('\n').slice(0, -1))
  return [...new Set(lines)].map((line) => lineShape.parse(JSON.parse(line)))
}

/** Returns the test files for which a worker has logged, also without a statement. */
export function listLoggedFiles(directory: string): string[] {
  return readdirSync(directory).map((name) => name.replaceAll('+', '/'))
}

const LOG_VARIABLE = 'STATEMENT_LOG'

/** Environment variables that make a process of `node-start.ts` log for the current test file. */
export function statementLogEnvironment(): Record<string, string> {
  return current === null ? {} : { [LOG_VARIABLE]: JSON.stringify(current) }
}

/** Logs for the test file that started this process. */
export function logStatementsForParent(): void {
  const given = process.env[LOG_VARIABLE]
  if (given !== undefined)
    logStatementsFor(z.object({ directory: z.string(), file: z.string() }).parse(JSON.parse(given)))
}

function directoryOf(directory: string, file: string): string {
  return join(directory, file.replaceAll('/', '+'))
}
