// One gateway as src/main.ts runs it, but with another timing, which production cannot configure.
import { flushCompileCache } from 'node:module'
import { parseConfig } from '../../../src/config/config.ts'
import type { Timing } from '../../../src/config/timing.ts'
import { startGateway } from '../../../src/gateway.ts'
import { endOnSignals } from '../../../src/process/signals.ts'
import { StartupError } from '../../../src/process/startup-error.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { openLogOutput } from '../../../src/telemetry/log-output.ts'

// The process that started this one is gone: end at once, and write nothing into a directory that
// is being removed.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.channel?.unref()

const timing: Timing = JSON.parse(process.argv[2] ?? '')
try {
  const config = parseConfig(process.env)
  const output = openLogOutput()
  const log = createLog(config.logLevel, output)
  const gateway = await startGateway(config, log, { timing })
  endOnSignals(log, output, () => gateway.stop())
  process.send?.('ready')
  // Most of these processes are killed, and Node would write the cache at their exit.
  flushCompileCache()
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error)
  process.exit(1)
}
