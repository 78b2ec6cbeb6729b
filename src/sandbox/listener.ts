import type { IncomingMessage, ServerResponse } from 'node:http'
import { respondWithFaults } from './control/apply-faults.ts'
import type { Faults } from './control/faults.ts'
import type { Recorder } from './control/recorder.ts'
import { parseBody } from './parameters.ts'
import { type ProviderResponse, readResponse, sendResponse } from './provider-response.ts'
import { isOwnForm } from './same-origin.ts'
import type { World } from './world.ts'

export type Application = { fetch(request: Request): Response | Promise<Response> }

const MAX_BODY_BYTES = 6 * 1024 * 1024
// A segment of 8 MB is a third larger as base64 in JSON.
const MAX_MEDIA_BODY_BYTES = 12 * 1024 * 1024

/**
 * Handles a request: reads and records it, applies faults, and sends the provider's response. It
 * uses node:http, because faults cut sockets and send partial responses, which an adapter of a
 * framework does not allow.
 */
export async function handleRequest(
  deps: { world: World; application: Application; recorder: Recorder; faults: Faults; afterActing: () => void },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { world, recorder } = deps
  const body = await readBody(incoming)
  const url = readUrl(world, incoming.url ?? '/')
  const method = incoming.method ?? 'GET'
  const refusal = findRefusal(incoming, method, body, url)
  if (body === null || url === null || refusal !== null) {
    await sendResponse(world, outgoing, { status: refusal ?? 400, headers: [], body: Buffer.alloc(0) })
    return
  }

  const headers = plainHeaders(incoming)
  const recorded = await parseBody(body, headers['content-type'] ?? null)
  const arrival = recorder.arrive({ method, url, headers, body: recorded, at: world.clock.now() })
  const { received, parameters } = arrival
  const act = async (): Promise<ProviderResponse> => {
    received.acted = true
    const response = await readResponse(await deps.application.fetch(buildRequest(method, url, headers, body)))
    deps.afterActing()
    return response
  }
  try {
    const faults = deps.faults.take({ method, path: url.pathname, parameters })
    received.status = await respondWithFaults(world, outgoing, faults, act)
  } finally {
    arrival.leave()
  }
}

function findRefusal(
  { headers }: IncomingMessage,
  method: string,
  body: Buffer | null,
  url: URL | null,
): number | null {
  if (body === null) return 413
  if (url === null) return 400
  if (['CONNECT', 'TRACE', 'TRACK'].includes(method)) return 405
  return method === 'GET' || method === 'HEAD' || isOwnForm(headers) ? null : 403
}

// Returns null for a body that is too large. A client that disconnects ends the request.
async function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let size = 0
  const maxBytes = incoming.url?.startsWith('/2/media/') ? MAX_MEDIA_BODY_BYTES : MAX_BODY_BYTES
  for await (const chunk of incoming) {
    size += chunk.length
    if (size <= maxBytes) chunks.push(chunk)
  }
  return size > maxBytes ? null : Buffer.concat(chunks)
}

// Accepts a path only: an absolute-form target would let the client choose the origin.
function readUrl(world: World, target: string): URL | null {
  if (!target.startsWith('/') || target.startsWith('//')) return null
  return URL.canParse(world.url + target) ? new URL(world.url + target) : null
}

function plainHeaders(incoming: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(incoming.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  )
}

function buildRequest(method: string, url: URL, headers: Record<string, string>, body: Buffer): Request {
  const hasBody = method !== 'GET' && method !== 'HEAD' && body.length > 0
  return new Request(url, { method, headers, ...(hasBody ? { body: new Uint8Array(body) } : {}) })
}
