// What the subcommands with an operator's objects have in common: their options and their errors.
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

/**
 * Parses the options of a subcommand.
 * @throws UsageError for an unknown option, one without its value, and any other word.
 */
export function parseOptions<Options extends NonNullable<ParseArgsConfig['options']>>(
  words: readonly string[],
  options: Options,
) {
  try {
    return parseArgs({ args: [...words], options }).values
  } catch {
    throw new UsageError()
  }
}

/**
 * Returns a parsed subcommand whose exit code is 1, with a sentence, for errors that the operator can
 * act on.
 * @param sentences of errors whose own sentence speaks of the API.
 */
export function reportErrors<CommandDeps>(
  sentences: Partial<Record<ErrorCode, string>>,
  work: (deps: CommandDeps, output: Output) => Promise<number>,
): (deps: CommandDeps, output: Output) => Promise<number> {
  return async (deps, output) => {
    try {
      return await work(deps, output)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      output.message(sentences[error.code] ?? error.message)
      return 1
    }
  }
}
