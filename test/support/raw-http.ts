import { Socket } from 'node:net'

/** Sends bytes as they are, and returns all that comes back. Who says nothing for a while is taken to wait for more. */
export function sendRaw(gatewayUrl: string, bytes: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = new Socket()
  let answer = ''
  socket.setEncoding('latin1')
  socket.on('data', (data) => {
    answer += data
  })
  socket.once('close', () => resolve(answer))
  socket.once('error', (error) => ('code' in error && error.code === 'ECONNRESET' ? resolve(answer) : reject(error)))
  socket.setTimeout(1_000, () => socket.destroy())
  socket.connect(Number(new URL(gatewayUrl).port), '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')))
  return promise
}

/** The status of a raw answer; 0 when the connection was closed without one. */
export const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
