// A program that ends on signals while one of Node's threads is blocked: it waits for a writer of a
// named pipe, and there is none.
import { open } from 'node:fs'
import { endOnSignals } from '../../src/process/signals.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { openLogOutput } from '../../src/telemetry/log-output.ts'

open(process.argv[2] ?? '', 'r', () => {})
const output = openLogOutput()
const log = createLog('info', output)
endOnSignals(log, output, async () => {})
log.info('Started')
setInterval(() => {}, 60_000)
