// Runs the command `xconnect` to its end in its own process.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { compileCache, nodeOptions } from './node-start.ts'
import { statementLogEnvironment } from './statements/statement-log.ts'

// They go through the rows of all users by design, in pages: the operator waits for them.
const COMMANDS_OVER_ALL_ROWS: ReadonlySet<string | undefined> = new Set(['keys', 'database'])

export type CommandResult = { code: number; stdout: string; stderr: string }

/**
 * Runs `xconnect` with these arguments and these environment variables alone. Its statements are
 * judged with those of the test file.
 */
export async function xconnect(environment: Record<string, string>, ...words: string[]): Promise<CommandResult> {
  const log = COMMANDS_OVER_ALL_ROWS.has(words[0]) ? {} : statementLogEnvironment()
  return promisify(execFile)(process.execPath, [...nodeOptions, 'src/cli.ts', ...words], {
    cwd: join(import.meta.dirname, '../..'),
    env: { ...environment, ...compileCache, ...log },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: CommandResult) => ({ code, stdout, stderr }),
  )
}
