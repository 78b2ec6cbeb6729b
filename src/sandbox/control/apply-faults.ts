import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { parseJson } from '../parameters.ts'
import { mergeHeaders, type ProviderResponse, readResponse, sendResponse, writeHead } from '../provider-response.ts'
import type { World } from '../world.ts'
import { BLOCK_PAGES } from '../x/block-pages.ts'
import { problemResponse } from '../x/problem-format.ts'
import { findProblem } from '../x/problems.ts'
import { inVocabulary } from '../x/vocabulary.ts'
import type { FaultKind, PlantedFault } from './faults.ts'

const JSON_TYPE: [string, string] = ['content-type', 'application/json; charset=utf-8']

/**
 * Responds to a request under these faults, which apply in order.
 * @param act executes the request at the provider.
 * @returns the status that was sent; null when no complete response was sent.
 */
export async function respondWithFaults(
  world: World,
  outgoing: ServerResponse,
  faults: PlantedFault[],
  act: () => Promise<ProviderResponse>,
): Promise<number | null> {
  let delayMilliseconds = 0
  for (const fault of faults) {
    if (fault.kind === 'delay') await sleep(fault.milliseconds)
    else if (fault.kind === 'delayAfter') delayMilliseconds += fault.milliseconds
    else return applyFault(world, outgoing, fault, async () => delayed(await act(), delayMilliseconds))
  }
  const response = await delayed(await act(), delayMilliseconds)
  await sendResponse(world, outgoing, response)
  return response.status
}

async function applyFault(
  world: World,
  outgoing: ServerResponse,
  fault: FaultKind,
  act: () => Promise<ProviderResponse>,
): Promise<number | null> {
  const send = async (response: ProviderResponse) => {
    await sendResponse(world, outgoing, response)
    return response.status
  }
  switch (fault.kind) {
    case 'status':
      return send(await statusResponse(fault))
    case 'statusAfter':
      await act()
      return send(await statusResponse(fault))
    case 'problem':
      return send(await injectedProblem(world, fault))
    case 'problemAfter':
      await act()
      return send(await injectedProblem(world, fault))
    case 'blockPage': {
      if (fault.act === true) await act()
      const { status, headers, body } = BLOCK_PAGES[fault.page]
      return send({ status, headers: Object.entries(headers), body: Buffer.from(body) })
    }
    case 'redirect':
      return send({ status: fault.status ?? 302, headers: [['location', fault.location]], body: Buffer.alloc(0) })
    case 'malformed':
      if (fault.act === true) await act()
      return send({
        status: fault.status ?? 200,
        headers: [['content-type', fault.contentType ?? 'application/json']],
        body: Buffer.from(fault.body ?? '{"data":{"id":"184930277'),
      })
    case 'response':
      return send(changedResponse(await act(), fault))
    case 'dropBefore':
      outgoing.socket?.destroy()
      return null
    case 'dropAfter':
      await act()
      outgoing.socket?.destroy()
      return null
    case 'cutHalfway': {
      const response = await act()
      writeHead(world, outgoing, response, response.body.length)
      outgoing.write(response.body.subarray(0, response.body.length / 2), () => outgoing.socket?.destroy())
      return null
    }
    case 'hang':
      if (fault.act === true) await act()
      await untilClosed(outgoing)
      return null
    case 'oversized':
      if (fault.act === true) await act()
      return sendOversized(world, outgoing, fault)
    case 'drip':
      return sendSlowly(world, outgoing, await act(), fault.bytesPerSecond ?? 1)
    default:
      throw new Error(`Bug: the fault ${fault.kind} is applied elsewhere`)
  }
}

async function delayed(response: ProviderResponse, milliseconds: number): Promise<ProviderResponse> {
  if (milliseconds > 0) await sleep(milliseconds)
  return response
}

async function statusResponse(fault: {
  status: number
  body?: unknown
  headers?: Record<string, string>
}): Promise<ProviderResponse> {
  const text = typeof fault.body === 'string' ? fault.body : fault.body === undefined ? '' : JSON.stringify(fault.body)
  const type: [string, string][] = typeof fault.body === 'object' ? [JSON_TYPE] : [['content-type', 'text/plain']]
  return { status: fault.status, headers: mergeHeaders(type, fault.headers ?? {}), body: Buffer.from(text) }
}

// A response about an exhausted rate limit has X's headers with the time at which it ends.
async function injectedProblem(
  world: World,
  fault: FaultKind & { kind: 'problem' | 'problemAfter' },
): Promise<ProviderResponse> {
  const problem = findProblem(fault.name)
  if (problem === null) throw new Error(`Bug: the problem ${fault.name} was planted and does not exist`)
  const response = await readResponse(await inVocabulary(world.switches.vocabulary, problemResponse(problem)))
  const reset = String(Math.ceil(world.clock.now() / 1000) + 900)
  const limits = { 'x-rate-limit-limit': '100', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': reset }
  const headers = fault.name === 'too-many-requests' ? { ...limits, ...fault.headers } : (fault.headers ?? {})
  return { ...response, headers: mergeHeaders(response.headers, headers) }
}

function changedResponse(response: ProviderResponse, fault: FaultKind & { kind: 'response' }): ProviderResponse {
  const headers = mergeHeaders(response.headers, fault.headers ?? {})
  const status = fault.status ?? response.status
  if (typeof fault.body === 'string') return { status, headers, body: Buffer.from(fault.body) }
  const real = parseJson(response.body.toString('utf8'))
  const fields = typeof real === 'object' && real !== null ? { ...real, ...fault.body } : { ...fault.body }
  const kept = Object.entries(fields).filter(([name]) => !(fault.omit ?? []).includes(name))
  return { status, headers, body: Buffer.from(JSON.stringify(Object.fromEntries(kept))) }
}

async function sendOversized(
  world: World,
  outgoing: ServerResponse,
  fault: { bytes: number; gzip?: boolean },
): Promise<number | null> {
  const encoding: [string, string][] = fault.gzip === true ? [['content-encoding', 'gzip']] : []
  writeHead(world, outgoing, { status: 200, headers: [JSON_TYPE, ...encoding] }, null)
  const chunk = Buffer.alloc(65_536, ' ')
  const source = Readable.from(
    (function* () {
      for (let left = fault.bytes; left > 0; left -= chunk.length)
        yield left < chunk.length ? chunk.subarray(0, left) : chunk
    })(),
  )
  try {
    await (fault.gzip === true ? pipeline(source, createGzip(), outgoing) : pipeline(source, outgoing))
    return 200
  } catch {
    // The client closed the connection, as it should.
    return null
  }
}

async function sendSlowly(
  world: World,
  outgoing: ServerResponse,
  response: ProviderResponse,
  bytesPerSecond: number,
): Promise<number | null> {
  writeHead(world, outgoing, response, response.body.length)
  outgoing.flushHeaders()
  for (const byte of response.body) {
    await sleep(1000 / bytesPerSecond)
    if (outgoing.destroyed) return null
    outgoing.write(Buffer.of(byte))
  }
  outgoing.end()
  return response.status
}

async function untilClosed(outgoing: ServerResponse): Promise<void> {
  if (outgoing.destroyed) return
  await new Promise<void>((resolve) => outgoing.once('close', resolve))
}
