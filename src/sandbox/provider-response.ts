import type { ServerResponse } from 'node:http'
import type { World } from './world.ts'

/** A complete response of a provider. */
export type ProviderResponse = { status: number; headers: [string, string][]; body: Buffer }

/** Reads a response completely. */
export async function readResponse(response: Response): Promise<ProviderResponse> {
  return { status: response.status, headers: [...response.headers], body: Buffer.from(await response.arrayBuffer()) }
}

/** Sends a complete response, dated by the sandbox's clock. */
export async function sendResponse(world: World, outgoing: ServerResponse, response: ProviderResponse): Promise<void> {
  // The client disconnected meanwhile: the socket is closed and emits no further event.
  if (outgoing.destroyed) return
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
