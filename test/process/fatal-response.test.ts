/**
 * A server or pooler that responds to a statement with an error of severity FATAL and closes the
 * connection.
 */
import { createServer, type Socket } from 'node:net'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { openPostgres, openSingleConnection } from '../../src/db/client.ts'
import { isDatabaseOutage } from '../../src/db/outage.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'

type Ending = 'closes' | 'resets'

const FATAL = { code: '57P01', message: 'terminating connection due to administrator command' }

function encode(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const head = Buffer.alloc(5, type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const readyForQuery = encode('Z', 'I')
const fatal = ({ code, message }: typeof FATAL) => encode('E', `SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
const noRows = Buffer.concat([
  encode('1'),
  encode('t', Buffer.alloc(2)),
  encode('n'),
  encode('2'),
  encode('C', 'SELECT 0\0'),
  readyForQuery,
])

/**
 * Speaks PostgreSQL's protocol as far as these tests need it
 * (https://www.postgresql.org/docs/current/protocol-flow.html).
 * @param isRefused whether the response to this statement is FATAL.
 * @param ending how the connection ends after that; `null` sends nothing before it closes.
 */
async function startServer(isRefused: (statement: string) => boolean, response: typeof FATAL | null, ending: Ending) {
  let connections = 0
  const serve = (socket: Socket) => {
    let received: Buffer = Buffer.alloc(0)
    let isOpen = false
    const reply = (type: string, text: string) => {
      if (type === 'X') return void socket.end()
      if ((type === 'Q' || type === 'P') && isRefused(text)) {
        socket.removeAllListeners('data')
        const end = () => (ending === 'closes' ? socket.end() : socket.resetAndDestroy())
        return response === null ? void end() : void socket.write(fatal(response), end)
      }
      if (type === 'Q') socket.write(Buffer.concat([encode('C', 'SET\0'), readyForQuery]))
      // Sync, at the end of a statement in the extended protocol.
      if (type === 'S') socket.write(noRows)
    }
    socket.on('error', () => {})
    socket.on('data', (message) => {
      // SSLRequest is the only message of eight bytes.
      if (!isOpen && message.length === 8) return void socket.write('N')
      if (!isOpen) {
        isOpen = true
        connections += 1
        return void socket.write(Buffer.concat([encode('R', Buffer.alloc(4)), readyForQuery]))
      }
      received = Buffer.concat([received, message])
      while (received.length >= 5 && received.length > received.readInt32BE(1)) {
        const end = received.readInt32BE(1) + 1
        reply(received.toString('latin1', 0, 1), received.toString('latin1', 5, end))
        received = received.subarray(end)
      }
    })
  }
  const server = createServer(serve)
  const port = await listenLocally(server)
  onTestFinished(() => closeServer(server))
  return { url: `postgres://someone@127.0.0.1:${port}/anything`, connections: () => connections }
}

/** Connects with the driver alone, without the gateway's pool and deadlines. */
function openSingle(url: string) {
  const client = openSingleConnection(url)
  onTestFinished(() => client.end({ timeout: 1 }))
  return client
}

const causeOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? causeOf(error.cause) : error

test.each([
  { code: '08P01', message: 'transaction blocks not allowed in statement pooling mode' },
  FATAL,
  { code: '53300', message: 'sorry, too many clients already' },
])('BEGIN with a FATAL response ($code) fails with that error, and the pool stays usable', async (response) => {
  let isRefusing = true
  const server = await startServer((text) => isRefusing && text.includes('begin'), response, 'closes')
  const client = openSingle(server.url)
  await expect(client.begin((client) => client.unsafe('select 1'))).rejects.toMatchObject(response)
  // The same for a pool whose connections are all refused.
  const pool = openPostgres(server.url)
  onTestFinished(() => pool.close())
  const transactions = Array.from({ length: 25 }, () =>
    pool.db.transaction(async (db) => db.execute(sql`select 1`)).catch(causeOf),
  )
  for (const error of await Promise.all(transactions)) {
    expect(error).toMatchObject(response)
    expect(isDatabaseOutage(error)).toBe(true)
  }
  isRefusing = false
  await Promise.all(Array.from({ length: 25 }, () => pool.db.execute(sql`select 1`)))
  expect(await client.unsafe('select 1')).toEqual([])
})

test.each<Ending>(['closes', 'resets'])(
  'a statement in a transaction with a FATAL response fails with that error when the server %s the connection',
  async (ending) => {
    const server = await startServer((text) => text.includes('insert'), FATAL, ending)
    const client = openSingle(server.url)
    const refused = client.begin(async (client) => {
      await client.unsafe('insert into written values (1)')
    })
    await expect(refused).rejects.toMatchObject(FATAL)
    // Queued statements fail with the same error.
    const together = ['insert into written values (2)', 'select 1', 'select 2'].map((text) => client.unsafe(text))
    const settled = await Promise.allSettled(together)
    expect(settled[0]).toMatchObject({ status: 'rejected', reason: FATAL })
    expect(await client.unsafe('select 3')).toEqual([])
  },
)

test.each([
  ['the settings of the session', 'set session'],
  ["the driver's own query", 'pg_type'],
])('a connection that is refused at %s fails its first query, and is not retried without end', async (_, text) => {
  for (const response of [FATAL, null]) {
    const server = await startServer((statement) => statement.includes(text), response, 'closes')
    const client = openSingle(server.url)
    await expect(client.begin((client) => client.unsafe('select 1'))).rejects.toMatchObject(
      response ?? { code: 'CONNECTION_CLOSED' },
    )
    expect(server.connections()).toBe(1)
  }
})
