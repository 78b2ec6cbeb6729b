import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { type Answer, deliver, mergeHeaders, readAnswer, writeHead } from '../answer.ts'
import { parseJson } from '../parameters.ts'
import type { World } from '../world.ts'
import { BLOCK_PAGES } from '../x/block-pages.ts'
import { answerProblem, findProblem } from '../x/problems.ts'
import { inVocabulary } from '../x/vocabulary.ts'
import type { FaultKind, PlantedFault } from './faults.ts'

const JSON_TYPE: [string, string] = ['content-type', 'application/json; charset=utf-8']

/**
 * Applies the faults in order. Returns the status that was sent, or null without a complete
 * response.
 */
export async function deliverWithFault(
  world: World,
  outgoing: ServerResponse,
  faults: PlantedFault[],
  act: () => Promise<Answer>,
): Promise<number | null> {
  let lateBy = 0
  for (const fault of faults) {
    if (fault.kind === 'delay') await sleep(fault.milliseconds)
    else if (fault.kind === 'delayAfter') lateBy += fault.milliseconds
    else return applyFault(world, outgoing, fault, async () => late(await act(), lateBy))
  }
  const answer = await late(await act(), lateBy)
  await deliver(world, outgoing, answer)
  return answer.status
}

async function applyFault(
  world: World,
  outgoing: ServerResponse,
  fault: FaultKind,
  act: () => Promise<Answer>,
): Promise<number | null> {
  const send = async (answer: Answer) => {
    await deliver(world, outgoing, answer)
    return answer.status
  }
  switch (fault.kind) {
    case 'status':
      return send(await madeUp(fault))
    case 'statusAfter':
      await act()
      return send(await madeUp(fault))
    case 'problem':
      return send(await problemAnswer(world, fault))
    case 'problemAfter':
      await act()
      return send(await problemAnswer(world, fault))
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
    case 'answer':
      return send(changed(await act(), fault))
    case 'dropBefore':
      outgoing.socket?.destroy()
      return null
    case 'dropAfter':
      await act()
      outgoing.socket?.destroy()
      return null
    case 'cutHalfway': {
      const answer = await act()
      writeHead(world, outgoing, answer, answer.body.length)
      outgoing.write(answer.body.subarray(0, answer.body.length / 2), () => outgoing.socket?.destroy())
      return null
    }
    case 'hang':
      if (fault.act === true) await act()
      await closed(outgoing)
      return null
    case 'oversized':
      if (fault.act === true) await act()
      return oversized(world, outgoing, fault)
    case 'drip':
      return drip(world, outgoing, await act(), fault.bytesPerSecond ?? 1)
    default:
      throw new Error(`Bug: the fault ${fault.kind} is applied elsewhere`)
  }
}

async function late(answer: Answer, milliseconds: number): Promise<Answer> {
  if (milliseconds > 0) await sleep(milliseconds)
  return answer
}

async function madeUp(fault: { status: number; body?: unknown; headers?: Record<string, string> }): Promise<Answer> {
  const text = typeof fault.body === 'string' ? fault.body : fault.body === undefined ? '' : JSON.stringify(fault.body)
  const type: [string, string][] = typeof fault.body === 'object' ? [JSON_TYPE] : [['content-type', 'text/plain']]
  return { status: fault.status, headers: mergeHeaders(type, fault.headers ?? {}), body: Buffer.from(text) }
}

// The problem of an exhausted rate limit has the headers that say when it ends.
async function problemAnswer(world: World, fault: FaultKind & { kind: 'problem' | 'problemAfter' }): Promise<Answer> {
  const problem = findProblem(fault.name)
  if (problem === null) throw new Error(`Bug: the problem ${fault.name} was planted and does not exist`)
  const answer = await readAnswer(await inVocabulary(world.switches.vocabulary, answerProblem(problem)))
  const reset = String(Math.ceil(world.clock.now() / 1000) + 900)
  const limits = { 'x-rate-limit-limit': '100', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': reset }
  const headers = fault.name === 'too-many-requests' ? { ...limits, ...fault.headers } : (fault.headers ?? {})
  return { ...answer, headers: mergeHeaders(answer.headers, headers) }
}

function changed(answer: Answer, fault: FaultKind & { kind: 'answer' }): Answer {
  const headers = mergeHeaders(answer.headers, fault.headers ?? {})
  const status = fault.status ?? answer.status
  if (typeof fault.body === 'string') return { status, headers, body: Buffer.from(fault.body) }
  const real = parseJson(answer.body.toString('utf8'))
  const fields = typeof real === 'object' && real !== null ? { ...real, ...fault.body } : { ...fault.body }
  const kept = Object.entries(fields).filter(([name]) => !(fault.omit ?? []).includes(name))
  return { status, headers, body: Buffer.from(JSON.stringify(Object.fromEntries(kept))) }
}

async function oversized(
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

async function drip(
  world: World,
  outgoing: ServerResponse,
  answer: Answer,
  bytesPerSecond: number,
): Promise<number | null> {
  writeHead(world, outgoing, answer, answer.body.length)
  outgoing.flushHeaders()
  for (const byte of answer.body) {
    await sleep(1000 / bytesPerSecond)
    if (outgoing.destroyed) return null
    outgoing.write(Buffer.of(byte))
  }
  outgoing.end()
  return answer.status
}

async function closed(outgoing: ServerResponse): Promise<void> {
  if (outgoing.destroyed) return
  await new Promise<void>((resolve) => outgoing.once('close', resolve))
}
