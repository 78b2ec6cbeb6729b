import type { ServerResponse } from 'node:http'
import type { World } from './world.ts'

export type Answer = { status: number; headers: [string, string][]; body: Buffer }

export async function readAnswer(response: Response): Promise<Answer> {
  return { status: response.status, headers: [...response.headers], body: Buffer.from(await response.arrayBuffer()) }
}

/** Sends a complete response, dated by the sandbox's clock. */
export async function deliver(world: World, outgoing: ServerResponse, answer: Answer): Promise<void> {
  // The client disconnected meanwhile: the socket is closed and emits no further event.
  if (outgoing.destroyed) return
  writeHead(world, outgoing, answer, answer.body.length)
  await new Promise<void>((resolve) => {
    outgoing.once('close', resolve)
    outgoing.end(answer.body)
  })
}

/**
 * Sends status and headers, dated by the sandbox's clock.
 * @param length null for a body of unknown length.
 */
export function writeHead(
  world: World,
  outgoing: ServerResponse,
  answer: Pick<Answer, 'status' | 'headers'>,
  length: number | null,
): void {
  outgoing.sendDate = false
  const lengthHeader: [string, string][] = length === null ? [] : [['content-length', String(length)]]
  const date: [string, string] = ['date', new Date(world.clock.now()).toUTCString()]
  outgoing.writeHead(answer.status, [date, ...answer.headers, ...lengthHeader].flat())
}

/** Returns the headers with those of `over` in their place. */
export function mergeHeaders(headers: [string, string][], over: Record<string, string>): [string, string][] {
  const names = new Set(Object.keys(over).map((name) => name.toLowerCase()))
  return [...headers.filter(([name]) => !names.has(name.toLowerCase())), ...Object.entries(over)]
}
