// Preloaded by the processes that tests start: logs each statement that Drizzle sends. All of them
// are the product's.
import { type Logger, NoopLogger } from 'drizzle-orm/logger'
import { logStatement, logStatementsForParent } from './statement-log.ts'

logStatementsForParent()
const tap: Logger = { logQuery: logStatement }
Object.assign(NoopLogger.prototype, tap)
