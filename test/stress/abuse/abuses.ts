// Hostile clients, and what the gateway guarantees meanwhile.
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, exactly, type Figure } from '../chaos/figures.ts'
import { ask } from './ask.ts'
import { floodEvents, scanHistory } from './database-floods.ts'
import { inTurns, type Service } from './neighbour.ts'
import { prepareTarpits } from './tarpits.ts'
import { floodMadeUpCookies, floodReadiness } from './unpaid.ts'
import type { Victim } from './victim.ts'

/** The size of each abuse. */
export type Scale = { connections: number; streams: number; documents: number; bodies: number; requests: number }

/** One abuse: its actions, the service expected meanwhile, and its result. */
export type Abused = { name: string; quiet?: Service; service: Service; memoryMb: number; figures: Figure[] }

type Abuse = (victim: Victim, scale: Scale) => Promise<Omit<Abused, 'name'>>

// requestTimeout is 15 s, headersTimeout 10 s, and both are checked every second.
const CLOSED_WITHIN_SECONDS = 20
const STREAMS_OF_A_PROCESS = 500
// At most 125 MB for all streams of a process.
const STREAM_KB = 250
const DOCUMENT_CHARACTERS = 8_000
const MAX_GROWTH_MB = 50
const BODY_BYTES = 2_000_000
const MAX_REFUSAL_BYTES = 1_000

const quiet: Abuse = (victim) =>
  measure(victim, async () => {
    await sleep(5_000)
    return []
  })

const slowHeaders: Abuse = (victim, { connections }) =>
  dripOn(victim, connections, 'POST /graphql HTTP/1.1\r\nHost: x\r\n', 'X-Slow: a\r\n')

const slowBodies: Abuse = (victim, { connections }) =>
  dripOn(
    victim,
    connections,
    'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n',
    ' ',
  )

// Each connection sends a little every second, until it is closed.
function dripOn(victim: Victim, connections: number, beginning: string, drop: string) {
  return measure(victim, async () => {
    const startedAt = performance.now()
    const lives = await Promise.all(
      Array.from({ length: connections }, () => {
        const { promise, resolve } = Promise.withResolvers<number>()
        const socket: Socket = connect(victim.port, '127.0.0.1', () => socket.write(beginning))
        const dripping = setInterval(() => socket.write(drop), 1_000)
        socket.on('error', () => {})
        socket.resume()
        socket.once('close', () => {
          clearInterval(dripping)
          resolve((performance.now() - startedAt) / 1000)
        })
        setTimeout(() => socket.destroy(), 60_000).unref()
        return promise
      }),
    )
    const held = lives.filter((seconds) => seconds > CLOSED_WITHIN_SECONDS).length
    return [
      exactly(`connections of ${connections} that are held longer than ${CLOSED_WITHIN_SECONDS} s`, 0, held),
      atMost('longest life of a connection', CLOSED_WITHIN_SECONDS, Math.max(...lives), ' s'),
    ]
  })
}

const idleStreams: Abuse = (victim, { streams }) => {
  const before = victim.memoryMb()
  return measure(victim, async () => {
    const hangingUp = new AbortController()
    const open = await inTurns(streams, async (index) => {
      const response = await fetch(`${victim.url}/graphql`, {
        method: 'POST',
        signal: hangingUp.signal,
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${victim.tokens[index % victim.tokens.length]}`,
        },
        body: JSON.stringify({ query: 'subscription { events { cursor } }' }),
      })
      const reader = response.body?.getReader()
      const text = new TextDecoder()
      // The first message is a comment, or the reason why there is no stream.
      const first = text.decode((await reader?.read())?.value)
      const second = await Promise.race([reader?.read(), sleep(200)])
      return !`${first}${text.decode(second?.value)}`.includes('TOO_MANY_STREAMS')
    })
    const granted = open.filter(Boolean).length
    const each = ((victim.memoryMb() - before) * 1024) / Math.max(granted, 1)
    hangingUp.abort()
    return [
      exactly(`streams of ${streams} that are opened`, Math.min(streams, STREAMS_OF_A_PROCESS), granted),
      atMost('memory of an idle stream', STREAM_KB, each, ' kB'),
    ]
  })
}

const largestDocuments: Abuse = async (victim, { documents }) => {
  const send = (prefix: string) =>
    inTurns(documents, (index) => {
      const operations = Array.from({ length: 120 }, (_, at) => `query ${prefix}${index}_${at}{viewer{id}}`)
      // Every other document has a syntax error: errors must not be cached either.
      const document = [...operations, index % 2 === 0 ? '' : '{'].join(' ')
      return ask(victim.url, document.padEnd(DOCUMENT_CHARACTERS))
    })
  // As many first, so that the prepared documents and the heap have their largest size.
  await send('a')
  return measure(victim, async () => {
    const statuses: number[] = []
    const growths: number[] = []
    // What is kept makes memory grow in each round. Garbage that waits for its collection, as on a
    // busy machine, does so in one.
    for (const prefix of ['b', 'c']) {
      const before = victim.memoryMb()
      statuses.push(...(await send(prefix)))
      growths.push(victim.memoryMb() - before)
    }
    return [
      exactly(
        `of ${statuses.length} distinct documents those without a response`,
        0,
        statuses.filter((code) => code >= 500).length,
      ),
      atMost('growth of memory', MAX_GROWTH_MB, Math.min(...growths), ' MB'),
    ]
  })
}

const largeBodies: Abuse = (victim, { bodies }) => {
  const before = victim.memoryMb()
  return measure(victim, async () => {
    const statuses = await inTurns(bodies, (index) => sendBody(victim.url, index % 2 === 0))
    return [
      exactly(
        `bodies of ${BODY_BYTES / 1e6} MB, of ${bodies}, that are not a 413`,
        0,
        statuses.filter((code) => code !== 413).length,
      ),
      atMost('growth of memory', MAX_GROWTH_MB, victim.memoryMb() - before, ' MB'),
    ]
  })
}

// Every request asks for the largest asset, compressed.
const assets: Abuse = async (victim, { requests }) => {
  const page = await (await fetch(`${victim.url}/graphql`, { headers: { accept: 'text/html' } })).text()
  const path = /src="(\/assets\/[^"]+\/graphiql\.min\.js)"/.exec(page)?.[1]
  if (path === undefined) throw new Error('The page of GraphiQL does not name its script')
  const before = victim.memoryMb()
  return measure(victim, async () => {
    const sizes = await inTurns(requests, async () => {
      const response = await fetch(`${victim.url}${path}`, { headers: { 'accept-encoding': 'gzip' } })
      return (await response.arrayBuffer()).byteLength
    })
    return [
      exactly(`of ${requests} assets the different sizes`, 1, new Set(sizes).size),
      atMost('growth of memory', MAX_GROWTH_MB, victim.memoryMb() - before, ' MB'),
    ]
  })
}

// Each document asks for a large part of the schema fifteen times.
const introspection: Abuse = (victim, { requests }) => {
  const part = '__schema { types { fields { name description type { fields { name description } } } } }'
  const names = Array.from({ length: 15 }, (_, index) => `part${index}`)
  const before = victim.memoryMb()
  return measure(victim, async () => {
    const sizes = await inTurns(Math.ceil(requests / 10), async (index) => {
      const query = `query q${index} { ${names.map((name) => `${name}: ${part}`).join(' ')} }`
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${victim.url}/graphql`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query }),
      })
      return (await response.arrayBuffer()).byteLength
    })
    return [
      atMost('largest response', MAX_REFUSAL_BYTES, Math.max(...sizes), ' bytes'),
      atMost('growth of memory', MAX_GROWTH_MB, victim.memoryMb() - before, ' MB'),
    ]
  })
}

// Ten users with receivers that never respond, and a flood of deliveries to each.
const tarpits: Abuse = async (victim, { requests }) =>
  measure(victim, await prepareTarpits(victim, Math.ceil(requests / 4)))

/** Every abuse by its name, in the order of a run. */
export const abuses = {
  quiet,
  'slow headers': slowHeaders,
  'slow bodies': slowBodies,
  'idle streams': idleStreams,
  'large bodies': largeBodies,
  'largest documents': largestDocuments,
  assets,
  introspection,
  tarpits,
  readiness: (victim, { requests }) => floodReadiness(victim, requests),
  'made-up cookies': (victim, { requests }) => floodMadeUpCookies(victim, requests),
  'event floods': (victim, { requests }) => floodEvents(victim, Math.ceil(requests / 10)),
  'history scans': (victim, { requests }) => scanHistory(victim, Math.ceil(requests / 10)),
} satisfies Record<string, Abuse>

async function measure(victim: Victim, work: () => Promise<Figure[]>): Promise<Omit<Abused, 'name'>> {
  let figures: Figure[] = []
  const service = await victim.watch(async () => {
    figures = await work()
  })
  const failures = exactly('requests of others that failed meanwhile', 0, service.failed)
  return { service, memoryMb: victim.memoryMb(), figures: [failures, ...figures] }
}

// The gateway responds before it has read the whole body, and then closes the connection.
function sendBody(url: string, isChunked: boolean): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const length: Record<string, string | number> = isChunked
    ? { 'transfer-encoding': 'chunked' }
    : { 'content-length': BODY_BYTES }
  const headers = { 'content-type': 'application/json', ...length }
  const outgoing = request(`${url}/graphql`, { method: 'POST', agent: false, headers }, (incoming) => {
    resolve(incoming.statusCode ?? 0)
    incoming.resume()
  })
  outgoing.once('error', () => resolve(0))
  outgoing.end(Buffer.alloc(BODY_BYTES, ' '))
  return promise
}
