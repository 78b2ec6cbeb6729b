// The end of a listener without the end of its connections. The system resets connections that it
// has accepted and the process has not, so the listener closes right after the process has taken
// all of them.
import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'

const QUIET_TURN_MILLISECONDS = 1
const WAIT_MILLISECONDS = 1_000

/**
 * Closes the listener of an HTTP server, after a turn of the event loop that was short and brought
 * no connection, or after a second. Connections stay open, idle ones too.
 * @returns `ended`, which resolves when all connections have ended.
 */
export async function stopListening(server: Server): Promise<{ ended: Promise<void> }> {
  let accepted = 0
  const count = () => {
    accepted += 1
  }
  server.on('connection', count)
  const until = performance.now() + WAIT_MILLISECONDS
  for (let isQuiet = false; !isQuiet && performance.now() < until; ) {
    const before = { accepted, at: performance.now() }
    // In between, the process accepts all connections that wait.
    await nextTurn()
    isQuiet = accepted === before.accepted && performance.now() - before.at < QUIET_TURN_MILLISECONDS
  }
  server.off('connection', count)
  // `close` of node:http would also close the idle connections.
  return { ended: new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve())) }
}
