// One gateway as src/main.ts runs it, but with another timing, which production has no way to be told.
import { flushCompileCache } from 'node:module'
import { parseConfig } from '../../../src/config/config.ts'
import type { Timing } from '../../../src/config/timing.ts'
import { startGateway } from '../../../src/gateway.ts'
import { endOnSignals } from '../../../src/process/signals.ts'
import { StartupError } from '../../../src/process/startup-error.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { openLogOutput } from '../../../src/telemetry/log-output.ts'

// Whoever started this is gone, perhaps killed: nothing may stay behind, nor be written into a directory that is being removed.
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
  // Most of these processes never end by themselves, when it would be written.
  flushCompileCache()
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error)
  process.exit(1)
}
