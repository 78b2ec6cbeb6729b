import { type Config, loadEnvironment, parseConfig } from '../config/config.ts'
import { productionTiming } from '../config/timing.ts'
import { type Database, openDatabase } from '../db/client.ts'
import { DirectoryInUseError } from '../db/pglite-directory.ts'
import { installOutbound } from '../outbound/provider-calls.ts'
import { StartupError } from '../process/startup-error.ts'
import type { Output } from './output.ts'

/**
 * Runs `work` with the configuration and the database of the gateway, and closes the database
 * afterwards. Returns the result of `work`.
 * @throws StartupError
 */
export async function withDatabase<T>(
  { message }: Output,
  work: (config: Config, database: Database) => Promise<T>,
  open: typeof openDatabase = openDatabase,
): Promise<T> {
  const config = parseConfig(loadEnvironment())
  for (const warning of config.warnings) message(warning)
  const outbound = installOutbound(productionTiming.callDeadlineSeconds, config.outboundProxy)
  const database = await open(config.database).catch((error) => {
    if (!(error instanceof DirectoryInUseError)) throw error
    throw new StartupError(
      `A gateway is running (process ${error.holder}) and has locked the embedded database. Stop it, run this again, then start it: no data is lost. With PostgreSQL (DATABASE_URL) the gateway can keep running.`,
      1,
    )
  })
  try {
    return await work(config, database)
  } finally {
    await database.close()
    await outbound.close()
  }
}
