// Runs the command `xconnect` to its end in its own process.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { compileCache, nodeOptions } from './node-start.ts'

export type CommandResult = { code: number; stdout: string; stderr: string }

/** Runs `xconnect` with these arguments and these environment variables alone. */
export async function xconnect(environment: Record<string, string>, ...words: string[]): Promise<CommandResult> {
  return promisify(execFile)(process.execPath, [...nodeOptions, 'src/cli.ts', ...words], {
    cwd: join(import.meta.dirname, '../..'),
    env: { ...environment, ...compileCache },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }: CommandResult) => ({ code, stdout, stderr }),
  )
}
