// Real sockets that ask and do not read.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { READING_RATE, serveWithinLimits, type UnreadLimits } from '../../src/http/unread-responses.ts'
import { createLog } from '../../src/telemetry/log.ts'

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>

// More than the system keeps for a connection whose client does not read.
const LARGE = Buffer.alloc(30_000_000, 'x')
const PIECE_BYTES = 1_000_000
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

const closing: (() => Promise<unknown>)[] = []
afterEach(() => Promise.all(closing.splice(0).map((close) => close())))

async function serve(handle: Handle, limits: Partial<UnreadLimits>) {
  const lines: string[] = []
  const log = createLog('debug', { write: (line) => lines.push(line) })
  const server = createServer({ keepAliveTimeout: 60_000 })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  serveWithinLimits(server, handle, { ...READING_RATE, seconds: 0.5, maxBytes: 1e9, ...limits }, log)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    open: () => sockets.size,
    unreadBytes: () => [...sockets].reduce((sum, { writableLength }) => sum + writableLength, 0),
    reasons: () => lines.map((line) => JSON.parse(line).reason),
    /** Connects, sends this, and reads nothing until it is asked to. */
    send: async (text: string) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      closing.push(async () => void socket.destroy())
      await once(socket, 'connect')
      socket.pause()
      socket.write(text)
      return socket
    },
  }
}

const sendLarge: Handle = async (_incoming, outgoing) => void outgoing.end(LARGE)

async function readAll(socket: Socket, pauseMilliseconds = 0): Promise<number> {
  let bytes = 0
  let read = 0
  for await (const chunk of socket) {
    bytes += (chunk as Buffer).byteLength
    read += (chunk as Buffer).byteLength
    if (read < PIECE_BYTES) continue
    read = 0
    await sleep(pauseMilliseconds)
  }
  return bytes
}

/** Reads until so many bytes have come. */
async function readBytes(socket: Socket, count: number): Promise<number> {
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength
  })
  socket.resume()
  await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThanOrEqual(count)
  return bytes
}

test('G-28 connections that read nothing of their response are ended, and their bytes freed', async () => {
  const server = await serve(sendLarge, {})
  const sockets = await Promise.all(Array.from({ length: 20 }, () => server.send(GET)))
  await expect.poll(server.unreadBytes).toBeGreaterThan(LARGE.byteLength)
  await expect.poll(server.open, { timeout: 20_000 }).toBe(0)
  expect(server.unreadBytes()).toBe(0)
  expect(server.reasons()).toEqual(Array(20).fill('seconds'))
  const [first] = sockets
  expect(first && (await readAll(first).catch(() => 0))).toBeLessThan(LARGE.byteLength)
})

test('G-28 a client that reads slowly gets everything, however long it takes', async () => {
  const server = await serve(sendLarge, { seconds: 1 })
  const socket = await server.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  // In thirty pieces: longer than a connection that reads nothing is kept.
  expect(await readAll(socket, 100)).toBeGreaterThan(LARGE.byteLength)
  expect(server.reasons()).toEqual([])
})

test('G-28 an event stream that is not read is ended, and one without events is not', async () => {
  let closed = 0
  const server = await serve(async (incoming, outgoing) => {
    outgoing.on('close', () => {
      closed += 1
    })
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    outgoing.write(': hello\n\n')
    if (incoming.url === '/idle') return
    while (!outgoing.destroyed) if (!outgoing.write(LARGE.subarray(0, 100_000))) await once(outgoing, 'drain')
  }, {})
  await server.send('GET /idle HTTP/1.1\r\nHost: x\r\n\r\n')
  await Promise.all(Array.from({ length: 5 }, () => server.send(GET)))
  await expect.poll(() => closed, { timeout: 20_000 }).toBe(5)
  // Longer than a connection that reads nothing is kept.
  await sleep(1_500)
  expect([server.open(), server.reasons()]).toEqual([1, Array(5).fill('seconds')])
})

test('G-28 a client that reads less than the minimum rate is ended, however often it reads; one that reads enough and an idle stream are not', async () => {
  let seconds = 0
  const [grace, rate] = [100, 1_000_000]
  const streams: ServerResponse[] = []
  const server = await serve(
    async (incoming, outgoing) => {
      if (incoming.url !== '/stream') return void outgoing.end(LARGE)
      streams.push(outgoing)
      outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
      outgoing.write(': hello\n\n')
    },
    { seconds: grace, minBytesPerSecond: rate, rateCheckSeconds: 0.01, now: () => seconds },
  )
  const [slow, fast, stream] = [
    await server.send(GET),
    await server.send(GET),
    await server.send('GET /stream HTTP/1.1\r\nHost: x\r\n\r\n'),
  ]
  stream.resume()
  await expect.poll(server.unreadBytes).toBeGreaterThan(LARGE.byteLength)
  // Both read before their time is over, and one of them not enough.
  await sleep(100)
  slow.read(PIECE_BYTES)
  expect(await readBytes(fast, LARGE.byteLength)).toBeGreaterThanOrEqual(LARGE.byteLength)
  seconds += grace + 1
  slow.read(PIECE_BYTES)
  await sleep(100)
  expect(server.reasons()).toEqual([])
  seconds += LARGE.byteLength / rate
  await expect.poll(server.reasons).toEqual(['rate'])
  expect(server.unreadBytes()).toBe(0)
  // The stream sends something now and then, and its client reads it.
  for (let sent = 0; sent < 3; sent += 1) {
    streams[0]?.write('data: 1\n\n')
    await once(stream, 'data')
    seconds += 1_000
    await sleep(50)
  }
  expect([server.open(), server.reasons()]).toEqual([2, ['rate']])
})

test('G-28 all connections together leave a bounded number of bytes unread, those first that wait longest', async () => {
  const maxBytes = 100_000_000
  const server = await serve(sendLarge, { seconds: 600, maxBytes })
  const clients: Socket[] = []
  let most = 0
  for (let sent = 0; sent < 20; sent += 1) {
    clients.push(await server.send(GET))
    await expect.poll(() => server.reasons().length + server.open()).toBe(sent + 1)
    most = Math.max(most, server.unreadBytes())
  }
  await expect.poll(() => server.reasons().length).toBeGreaterThan(10)
  expect(most).toBeLessThan(maxBytes + LARGE.byteLength)
  expect(server.unreadBytes()).toBeLessThan(maxBytes)
  expect(new Set(server.reasons())).toEqual(new Set(['bytes']))
  // The last one is still served.
  const last = clients.at(-1)
  last?.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  expect(last && (await readAll(last))).toBeGreaterThan(2 * LARGE.byteLength)
})

test('G-28 requests that are sent ahead are served one after the other, in their order, and no more than a few', async () => {
  let running = 0
  let most = 0
  const server = await serve(async (incoming, outgoing) => {
    running += 1
    most = Math.max(most, running)
    await sleep(5)
    running -= 1
    outgoing.end(`${incoming.url};`)
  }, {})
  const ask = (count: number) =>
    Array.from(
      { length: count },
      (_, at) => `GET /${at} HTTP/1.1\r\nHost: x\r\n${at === count - 1 ? 'Connection: close\r\n' : ''}\r\n`,
    ).join('')
  const few = await server.send(ask(16))
  let text = ''
  for await (const chunk of few.setEncoding('utf8')) text += chunk
  expect(text.match(/\/\d+(?=;)/g)).toEqual(Array.from({ length: 16 }, (_, at) => `/${at}`))
  expect(most).toBe(1)
  const many = await server.send(ask(100))
  many.resume()
  await once(many, 'close')
  expect(server.reasons()).toEqual(['requests'])
})

test('G-28 a response that takes long to make is waited for, and an idle connection is kept for as long as the server says', async () => {
  const server = await serve(
    async (_incoming, outgoing) => {
      await sleep(1_500)
      outgoing.end('made')
    },
    { seconds: 0.3 },
  )
  const socket = await server.send(GET)
  socket.setEncoding('utf8').resume()
  const [text] = await once(socket, 'data')
  expect(text).toContain('made')
  await sleep(1_000)
  expect([server.open(), server.reasons()]).toEqual([1, []])
})
