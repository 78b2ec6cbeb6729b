// Clients of the gateway that ask and do not read, on every kind of route.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tweets } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, momentIn } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
let account: ConnectedAccount
let script: string
beforeAll(async () => {
  world = await startWorld({ GRAPHIQL: 'on' }, { unreadResponseSeconds: 0.5 })
  account = await connectAccount(world)
  await world
    .db()
    .insert(tweets)
    .values(
      Array.from({ length: 18 }, (_, index) => ({
        userId: account.userId,
        accountId: account.id,
        text: 'x'.repeat(100_000),
        status: 'POSTED' as const,
        xTweetId: String(1_000_000 + index),
        claimedUntil: momentIn(world, 0),
        createdAt: momentIn(world, 0),
      })),
    )
  const page = await (await world.browser().request('/graphql', { headers: { accept: 'text/html' } })).text()
  script = /src="(\/assets\/[^"]+\/graphiql\.min\.js)"/.exec(page)?.[1] ?? ''
})
afterAll(() => world.close())

// The system keeps some megabytes for a connection, which need several responses.
function write(method: string, path: string, body = ''): string {
  const { cookie } = cookieOf(account.person)
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${new URL(world.url).host}`,
    `Cookie: ${cookie}`,
    'Sec-Fetch-Site: same-origin',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

const page = JSON.stringify({ query: '{ tweets(first: 18) { nodes { text } } }' })
const requests: [string, () => string][] = [
  ['the direct route', () => write('POST', '/graphql', page).repeat(10)],
  ['the router', () => write('POST', '/graphql?way=router', page).repeat(10)],
  ['an asset', () => write('GET', script).repeat(16)],
]

async function send(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write(text)
  return socket
}

test.each(requests)(
  'G-28 a client that reads nothing of %s is ended, and one that reads gets everything',
  async (_what, make) => {
    const text = make()
    const count = text.split('HTTP/1.1\r\n').length - 1
    const before = world.logs().length
    const ended = () =>
      world
        .logs()
        .slice(before)
        .match(/"reason":"seconds"/g)?.length ?? 0
    const unread = await send(text)
    await expect.poll(ended, { timeout: 30_000 }).toBe(1)
    unread.destroy()

    const reading = await send(text)
    let received = 0
    let tail = ''
    reading
      .resume()
      .setEncoding('latin1')
      .on('data', (chunk: string) => {
        received += (tail + chunk).split('HTTP/1.1 200').length - 1
        tail = chunk.slice(-11)
      })
    await expect.poll(() => received, { timeout: 30_000 }).toBe(count)
    expect(ended()).toBe(1)
    reading.destroy()
  },
)
