import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below those that a system gives to outgoing connections (Linux from 32768, others from 49152): of
// them one that is free now may be taken before the program listens. And above the last that fetch
// refuses, 10080.
const FIRST = 10_100
const AFTER_LAST = 32_768

/** Returns a port that nothing listens on, for a program that cannot use port 0. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, AFTER_LAST)
    const listener = createServer().listen(port, '127.0.0.1')
    try {
      await once(listener, 'listening')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') continue
      throw error
    }
    listener.close()
    await once(listener, 'close')
    return port
  }
}
