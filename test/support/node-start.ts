// Options that make the tests' Node processes start faster. With them, importing the gateway and
// the sandbox takes 0.75 s of CPU time instead of 1.75 s.
import { join } from 'node:path'

/** Options of Node for quicker imports. */
export const quickResolution = ['--import', join(import.meta.dirname, '../../src/process/quick-imports.js')] as const

/** Options of Node, for the command line before the file. */
export const nodeOptions = [
  ...quickResolution,
  '--import',
  join(import.meta.dirname, 'statements/statement-tap.ts'),
] as const

/**
 * Makes Node load code that an earlier process compiled. Node writes this cache when a process
 * exits.
 */
export const compileCache = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/xconnect-compiled'),
} as const
