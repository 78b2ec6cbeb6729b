// What neighbours feel with the rate limits as shipped: floods that are refused, responses that
// nobody reads, and the deletion of a user with many tweets.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { atMost, exactly } from '../chaos/figures.ts'
import { ask } from './ask.ts'
import { type Besides, measureBeside, timeFlood } from './beside.ts'
import { floodEvents, scanHistory } from './database-floods.ts'
import { measureFloor } from './floor.ts'
import { askReadiness, sendMadeUpCookie } from './unpaid.ts'
import type { Victim } from './victim.ts'

export type LimitedAbuse = (victim: Victim, scale: { requests: number }) => Promise<Besides>

const MAX_GROWTH_MB = 50
// A response may be unread for 10 s, which is looked at every second.
const ENDED_WITHIN_SECONDS = 20
const UNREAD_CONNECTIONS = 60
const UNREAD_RESPONSES = 20
const DELETED_WITHIN_SECONDS = 300
// Fewer than the limits grant at once.
const SERVED_FIRST = 20

const quiet: LimitedAbuse = (victim) => measureBeside(victim, () => sleep(3_000, []))

const deletionAtSize: LimitedAbuse = (victim) =>
  measureBeside(victim, async () => {
    const { login, cookie, tweets } = victim.leaver
    const mutation = `mutation { deleteViewer(input: { login: "${login}" }) { deletion { id } } }`
    const { deleteViewer } = deletionShape.parse(await query(victim, mutation, cookie))
    const [, other = ''] = victim.cookies
    const status = async () =>
      statusShape.parse(
        await query(victim, `{ userDeletion(userDeletionId: "${deleteViewer.deletion.id}") { status } }`, other),
      ).userDeletion.status
    const startedAt = performance.now()
    const seconds = () => (performance.now() - startedAt) / 1000
    let isDeleted = false
    while (!isDeleted && seconds() < DELETED_WITHIN_SECONDS) {
      await sleep(500)
      isDeleted = (await status()) === 'DELETED'
    }
    return [
      exactly(`deletions of a user with ${tweets} tweets that did not end`, 0, isDeleted ? 0 : 1),
      atMost('seconds until this user was deleted', DELETED_WITHIN_SECONDS, seconds()),
    ]
  })

const deletionShape = z.object({ deleteViewer: z.object({ deletion: z.object({ id: z.string() }) }) })
const statusShape = z.object({ userDeletion: z.object({ status: z.string() }) })

async function query(victim: Victim, text: string, cookie: string): Promise<unknown> {
  const response = await fetch(`${victim.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', cookie },
    body: JSON.stringify({ query: text }),
  })
  return z.object({ data: z.unknown() }).parse(await response.json()).data
}

// Each connection asks for the largest asset again and again, and reads nothing.
const unreadResponses: LimitedAbuse = async (victim) => {
  const page = await (await fetch(`${victim.url}/graphql`, { headers: { accept: 'text/html' } })).text()
  const path = /src="(\/assets\/[^"]+\/graphiql\.min\.js)"/.exec(page)?.[1]
  if (path === undefined) throw new Error('The page of GraphiQL does not name its script')
  const asset = (await (await fetch(`${victim.url}${path}`)).arrayBuffer()).byteLength
  const before = victim.memoryMb()
  return measureBeside(victim, async () => {
    const sockets = Array.from({ length: UNREAD_CONNECTIONS }, () => {
      const socket = connect(victim.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.pause()
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${victim.port}\r\n\r\n`.repeat(UNREAD_RESPONSES))
      return socket
    })
    await sleep(3_000)
    const growth = victim.memoryMb() - before
    await sleep((ENDED_WITHIN_SECONDS - 3) * 1000)
    // What the system has kept of an ended connection is less than all responses.
    const sizes = await Promise.all(
      sockets.map(async (socket) => {
        let bytes = 0
        socket.on('data', (part) => {
          bytes += part.length
        })
        socket.resume()
        await sleep(3_000)
        socket.destroy()
        return bytes
      }),
    )
    const held = sizes.filter((bytes) => bytes >= asset * UNREAD_RESPONSES).length
    return [
      exactly(`connections of ${UNREAD_CONNECTIONS} that are held although nobody reads`, 0, held),
      atMost('growth of memory', MAX_GROWTH_MB, growth, ' MB'),
    ]
  })
}

// A flood of which the rate limits refuse all but the first requests. Eight clients that wait for a
// response before they send again fill one processor, whatever they send, so the processor time of
// those that are refused is compared with that of those that are served.
const refused =
  (leastRefused: number, send: (victim: Victim, index: number) => Promise<number>): LimitedAbuse =>
  async (victim, { requests }) => {
    const first = await timeFlood(victim, SERVED_FIRST, (index) => send(victim, -1 - index))
    const before = victim.memoryMb()
    return measureBeside(victim, async () => {
      const flood = await timeFlood(victim, requests, (index) => send(victim, index))
      const count = (status: number) => flood.statuses.filter((other) => other === status).length
      const served = count(200)
      const ofRefused = (flood.milliseconds * requests - first.milliseconds * served) / Math.max(count(429), 1)
      const ratio = first.milliseconds === 0 ? 0 : ofRefused / first.milliseconds
      return [
        exactly('requests of the flood with a status other than 200 and 429', 0, requests - served - count(429)),
        atMost(`requests of the flood, of ${requests}, that are served`, requests - leastRefused, served),
        ...(leastRefused === 0 ? [] : [atMost('processor time of a refused one to that of a served one', 1, ratio)]),
        atMost('growth of memory', MAX_GROWTH_MB, victim.memoryMb() - before, ' MB'),
      ]
    })
  }

const lists = Array.from({ length: 15 }, (_, number) => `e${number}: events(first: 100) { edges { cursor } }`).join(' ')

// One user whose documents cost many times what an ordinary one costs.
const refusedDocuments: LimitedAbuse = (victim, scale) =>
  refused(scale.requests / 2, ({ url, cookies }, index) =>
    ask(url, `query q${index + SERVED_FIRST} { ${lists} }`, { cookie: cookies[1] ?? '' }),
  )(victim, scale)

/** Every abuse of a gateway that has its rate limits by its name, in the order of a run. */
export const limitedAbuses = {
  'a bare server that refuses': (_, { requests }) => measureFloor(requests),
  'quiet, limited': quiet,
  'deletion at size, limited': deletionAtSize,
  'unread responses, limited': unreadResponses,
  'documents over the limit, limited': refusedDocuments,
  'made-up cookies, limited': (victim, scale) => refused(scale.requests / 2, sendMadeUpCookie)(victim, scale),
  'readiness, limited': (victim, scale) => refused(0, askReadiness)(victim, scale),
  'event floods, limited': (victim, { requests }) => floodEvents(victim, requests),
  'history scans, limited': (victim, { requests }) => scanHistory(victim, requests),
} satisfies Record<string, LimitedAbuse>
