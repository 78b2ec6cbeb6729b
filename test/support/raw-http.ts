import { Socket } from 'node:net'

/**
 * Sends raw bytes, and returns everything received. A server that is silent for a while is taken to
 * wait for more.
 */
export function sendRaw(gatewayUrl: string, bytes: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = new Socket()
  let response = ''
  socket.setEncoding('latin1')
  socket.on('data', (data) => {
    response += data
  })
  socket.once('close', () => resolve(response))
  socket.once('error', (error) => ('code' in error && error.code === 'ECONNRESET' ? resolve(response) : reject(error)))
  socket.setTimeout(1_000, () => socket.destroy())
  socket.connect(Number(new URL(gatewayUrl).port), '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')))
  return promise
}

/** Returns the status of a raw response; 0 if the connection was closed without one. */
export const statusOf = (response: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 0)
