// Loaded before each test file: logs the statements that the product sends meanwhile, and fails the
// file afterwards if one of them breaks a rule. So a single file is judged as in a whole run.
import path from 'node:path'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { logStatementsFor, readStatements } from './statement-log.ts'

const root = path.join(import.meta.dirname, '../../..')
const file = path.relative(root, expect.getState().testPath ?? '')
const directory = inject('statementLog')

beforeAll(() => logStatementsFor({ directory, file }))

// Vitest runs the hooks in reverse, so the file's own have closed its gateways.
afterAll(async () => {
  logStatementsFor(null)
  const statements = readStatements(directory, file)
  if (statements.length === 0) return
  // The parser, and the tables of the schema, which many tests do not need.
  const { judgeStatements } = await import('./judge.ts')
  const { tableKeys } = await import('./table-keys.ts')
  const faults = judgeStatements(statements, tableKeys)
  if (faults.length > 0) throw new Error(faults.join('\n\n'))
})
