// Clients that do not read their responses. What they leave unread waits in the memory of this
// process: a connection is ended when nothing of it was read for a while, when it is read too slowly,
// and when all connections together leave too much. Any other slow client gets everything.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../telemetry/log.ts'

/** The bounds of unread responses. */
export type UnreadLimits = {
  /** A connection is ended after this time without a byte read, or twice this time at most. */
  seconds: number
  /** The most bytes that wait for all clients together. Those that have waited longest end first. */
  maxBytes: number
  /**
   * What waits for a client has to be read at this rate, after `seconds`. It is below any connection
   * that a program works over: a client that reads a byte now and then would keep its response in memory
   * for as long as it likes.
   */
  minBytesPerSecond: number
  /** How often the rates are looked at. */
  rateCheckSeconds: number
  /** The time in seconds, from any start. */
  now?: () => number
}

/** The rate in production. */
export const READING_RATE = { minBytesPerSecond: 10_000, rateCheckSeconds: 5 } as const

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>

// The requests that a client has sent before the response to an earlier one (RFC 9112 section 9.3.2).
// Hardly any client does.
const MAX_PIPELINED = 16

/**
 * Serves the requests of `server` by `handle`, within the limits: one request of a connection after
 * the other, so that one response waits for each client at most.
 */
export function serveWithinLimits(server: Server, handle: Handle, limits: UnreadLimits, log: Log): void {
  const { seconds, maxBytes, minBytesPerSecond, rateCheckSeconds } = limits
  const now = limits.now ?? (() => performance.now() / 1000)
  const connections = new Map<Socket, Connection>()
  const end = (socket: Socket, reason: string) => {
    log.debug({ bytes: socket.writableLength, reason }, 'Ended the connection of a client that does not read')
    socket.destroy()
  }
  const endLongestUnread = () => {
    const time = now()
    const unread: [Socket, number][] = []
    let bytes = 0
    for (const [socket, connection] of connections) {
      connection.unreadSince = socket.writableLength === 0 ? null : (connection.unreadSince ?? time)
      if (connection.unreadSince === null) continue
      bytes += socket.writableLength
      unread.push([socket, connection.unreadSince])
    }
    if (bytes <= maxBytes) return
    for (const [socket] of unread.toSorted(([, one], [, other]) => one - other)) {
      if (bytes <= maxBytes) return
      bytes -= socket.writableLength
      end(socket, 'bytes')
    }
  }
  // What waits at one look has to be read at another: bytes that are written meanwhile, as those of an
  // event stream, are not asked for.
  const endTooSlow = () => {
    const time = now()
    for (const [socket, connection] of connections) {
      const { writableLength, bytesWritten } = socket
      const { awaited } = connection
      const read = bytesWritten - writableLength
      if (writableLength === 0) connection.awaited = null
      else if (awaited === null || read >= awaited.read)
        connection.awaited = { read: bytesWritten, until: time + seconds + writableLength / minBytesPerSecond }
      else if (time > awaited.until) end(socket, 'rate')
    }
  }
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    await handle(incoming, outgoing)
    if (incoming.socket.writableLength > 0) endLongestUnread()
  }

  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming
    // Node parses what it has of a connection that was ended.
    if (socket.destroyed) return
    const start = () => void serve(incoming, outgoing)
    outgoing.once('close', () => {
      const next = connections.get(socket)?.waiting.shift()
      if (next === undefined || socket.destroyed) connections.delete(socket)
      else next()
    })
    const connection = connections.get(socket)
    if (connection === undefined) {
      connections.set(socket, { waiting: [], unreadSince: null, awaited: null })
      return start()
    }
    connection.waiting.push(start)
    if (connection.waiting.length > MAX_PIPELINED) end(socket, 'requests')
  })
  const looking = setInterval(endTooSlow, rateCheckSeconds * 1000).unref()
  server.on('close', () => clearInterval(looking))
  // Node calls this when a connection was idle for this time. One whose client reads slowly is not:
  // Node looks at what the system has taken of a write.
  server.setTimeout(seconds * 1000, (socket: Socket) => {
    if (!connections.has(socket)) socket.destroy()
    else if (socket.writableLength > 0) end(socket, 'seconds')
  })
}

type Connection = {
  /** Starts the requests that wait for the response to an earlier one. */
  waiting: (() => void)[]
  /** Since when bytes are known to wait for the client; null while none do. */
  unreadSince: number | null
  /** The number of bytes of the connection that have to be read until a time; null while none wait. */
  awaited: { read: number; until: number } | null
}
