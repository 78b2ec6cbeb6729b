import pino, { type DestinationStream, type Logger } from 'pino'
import { openLogOutput } from './log-output.ts'
import { redact, redactText } from './redaction.ts'

/** The process's logger: one JSON object a line. */
export type Log = Logger

/** What the line of a request to the API says of its document: names and codes, no texts. `fields` are those at the top. */
export type OperationLogFields = { operation: string | null; fields: readonly string[]; errorCodes: readonly string[] }

/**
 * Makes the logger. Errors are logged with their code, message, stack and causes; what goes by a secret's name or looks like one is
 * blanked, and addresses are cut at their query.
 * @param destination where lines go; standard output unless told otherwise.
 */
export function createLog(level: string, destination: DestinationStream = openLogOutput()): Log {
  const options: pino.LoggerOptions = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    hooks: {
      logMethod(words, method) {
        const plain = words.map((word, index) => (index === 0 ? redactFirst(word) : redact(word)))
        // The types know a few ways to call it; what each word is has not changed.
        method.apply(this, plain as typeof words)
      },
    },
  }
  const log = pino(options, destination)
  // What a child is given for all its lines does not pass the hook.
  const { child } = log
  return Object.assign(log, {
    child(this: Log, bindings: object, childOptions?: object): Log {
      return Reflect.apply(child, this, [redactFields(bindings), childOptions])
    },
  })
}

// The fields of a line, or its text. pino would put an error's own properties into the line.
function redactFirst(word: unknown): unknown {
  if (typeof word === 'string') return redactText(word)
  return word instanceof Error || typeof word !== 'object' ? redactFields({ error: word }) : redact(word)
}

function redactFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(redact(fields) ?? {}))
}
