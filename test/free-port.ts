import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that nobody listens on, for a program that must be told one. Let the system choose (port 0) wherever that works. */
export async function findFreePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  listener.close()
  await once(listener, 'close')
  if (address === null || typeof address === 'string') throw new Error('Bug: a TCP listener has no port.')
  return address.port
}
