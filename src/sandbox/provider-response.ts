import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import type { World } from './world.ts'

/** A response of a provider: complete, or with a stream that stays open in place of `body`. */
export type ProviderResponse = {
  status: number
  headers: [string, string][]
  body: Buffer
  stream?: ReadableStream<Uint8Array>
}

const streams = new WeakSet<Response>()

/** Marks a response that stays open. */
export function markStream(response: Response): Response {
  streams.add(response)
  return response
}

/** Reads a response completely, unless it is marked as a stream. */
export async function readResponse(response: Response): Promise<ProviderResponse> {
  if (streams.has(response) && response.body !== null) {
    const { status, headers, body: stream } = response
    return { status, headers: [...headers], body: Buffer.alloc(0), stream }
  }
  return { status: response.status, headers: [...response.headers], body: Buffer.from(await response.arrayBuffer()) }
}

/** Sends a response, dated by the sandbox's clock. A stream is sent until one side ends it. */
export async function sendResponse(world: World, outgoing: ServerResponse, response: ProviderResponse): Promise<void> {
  // The client disconnected meanwhile: the socket is closed and emits no further event.
  if (outgoing.destroyed) return
  if (response.stream !== undefined) {
    writeHead(world, outgoing, response, null)
    outgoing.flushHeaders()
    await pipeline(Readable.fromWeb(response.stream as NodeReadableStream), outgoing).catch(() => {})
    return
  }
  writeHead(world, outgoing, response, response.body.length)
  await new Promise<void>((resolve) => {
    outgoing.once('close', resolve)
    outgoing.end(response.body)
  })
}

/**
 * Sends status and headers, dated by the sandbox's clock.
 * @param length null for a body of unknown length.
 */
export function writeHead(
  world: World,
  outgoing: ServerResponse,
  response: Pick<ProviderResponse, 'status' | 'headers'>,
  length: number | null,
): void {
  outgoing.sendDate = false
  const lengthHeader: [string, string][] = length === null ? [] : [['content-length', String(length)]]
  const date: [string, string] = ['date', new Date(world.clock.now()).toUTCString()]
  outgoing.writeHead(response.status, [date, ...response.headers, ...lengthHeader].flat())
}

/** Returns the headers, with those of `over` replaced. */
export function mergeHeaders(headers: [string, string][], over: Record<string, string>): [string, string][] {
  const names = new Set(Object.keys(over).map((name) => name.toLowerCase()))
  return [...headers.filter(([name]) => !names.has(name.toLowerCase())), ...Object.entries(over)]
}
