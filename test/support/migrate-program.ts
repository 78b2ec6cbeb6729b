// A process that migrates, for tests that kill it: `KILL_AT` is the number of the statement before which
// it ends, as by kill -9.
import { postgresAt } from '../../src/config/database-config.ts'
import { migrateDatabase } from '../../src/db/migrate.ts'
import { logStatementsFor } from './statements/statement-log.ts'

// Its migrations are invented.
logStatementsFor(null)

const { DATABASE_URL = '', MIGRATIONS_FOLDER = '', KILL_AT } = process.env
let step = 0
await migrateDatabase(
  { source: postgresAt(DATABASE_URL) },
  {},
  {
    folder: MIGRATIONS_FOLDER,
    beforeStep: () => {
      step += 1
      if (step === Number(KILL_AT)) process.kill(process.pid, 'SIGKILL')
    },
  },
)
console.log('migrated')
