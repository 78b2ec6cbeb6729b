// A pooler or another program in front of PostgreSQL that answers COMMIT with ROLLBACK.
import { connect, createServer, type Socket } from 'node:net'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openPostgres, openSingleConnection } from '../../src/db/client.ts'
import { apiTokens, sessions, tweets } from '../../src/db/tables.ts'
import { connectAccount } from '../support/connected-account.ts'
import { createTestDatabase } from '../support/database.ts'
import { startWorld } from '../support/harness.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'

/** A connection to the database that turns the next commits into rollbacks, in either protocol. */
async function openUndoing(url: string) {
  const { port, hostname } = new URL(url)
  const sockets = new Set<Socket>()
  let toUndo = 0
  let undone = 0
  let statement = ''
  // Counts the calls of undoNext: what a connection has sent before one does not count for it.
  let order = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    // Whether the transaction of this connection has sent the statement. Jobs of the gateway commit
    // at any time.
    let isMeant = false
    let lastOrder = order
    client.on('data', (bytes) => {
      if (lastOrder !== order) isMeant = false
      lastOrder = order
      isMeant ||= bytes.includes(statement)
      upstream.write(toUndo > 0 && isMeant ? undo(bytes) : bytes)
      if (bytes.includes('commit')) isMeant = false
    })
    upstream.on('data', (bytes) => client.write(bytes))
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => other.destroy())
    }
  })
  function undo(bytes: Buffer): Buffer {
    // PostgreSQL's other command for ROLLBACK, of the same length.
    return Buffer.from(
      bytes.toString('latin1').replaceAll(/(?<![\w ])commit\0/gi, (found) => {
        if (toUndo === 0) return found
        toUndo -= 1
        undone += 1
        return 'abort \0'
      }),
      'latin1',
    )
  }
  const through = new URL(url)
  through.port = String(await listenLocally(server))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await closeServer(server)
  })
  return {
    url: through.href,
    /** Undoes the next commits; those of transactions that send a text, where one is given. */
    undoNext: (count: number, text = '') => {
      toUndo = count
      statement = text
      order += 1
      undone = 0
    },
    undone: () => undone,
  }
}

async function openDatabaseThroughIt() {
  const database = await createTestDatabase('postgres')
  onTestFinished(() => database.remove())
  return openUndoing(database.environment.DATABASE_URL ?? '')
}

async function openWorldThroughIt() {
  const way = await openDatabaseThroughIt()
  const world = await startWorld({ DATABASE_URL: way.url })
  onTestFinished(() => world.close())
  return { way, world }
}

test('stores a post by statements that need no commit', async () => {
  const { way, world } = await openWorldThroughIt()
  const account = await connectAccount(world)
  way.undoNext(1, '"tweets"')
  const posted = await account.post('Is it there?')
  expect([way.undone(), posted.tweet?.status]).toEqual([0, 'POSTED'])
  const rows = await world.db().select().from(tweets)
  expect(rows).toEqual([expect.objectContaining({ status: 'POSTED', xTweetId: posted.tweet?.xTweetId })])
})

test.each([1, 2, 3])('loses no post whose outcome is unknown, with the first %i commits rolled back', async (count) => {
  const { way, world } = await openWorldThroughIt()
  const account = await connectAccount(world)
  world.sandbox.control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  way.undoNext(count, '"tweets"')
  await account.post('Is it there?').catch(() => null)
  await vi.waitFor(() => expect(way.undone()).toBe(count), { timeout: 120_000, interval: 100 })
  const [sent] = world.sandbox.control.tweets()
  await vi.waitFor(
    async () => {
      world.advance(60)
      const rows = await world.db().select().from(tweets)
      expect(rows).toEqual([expect.objectContaining({ status: 'POSTED', xTweetId: sent?.id })])
    },
    { timeout: 120_000, interval: 500 },
  )
  expect(world.sandbox.control.tweets()).toHaveLength(1)
})

test('stores an API token whose secret it shows, and shows none that it could not store', async () => {
  const { way, world } = await openWorldThroughIt()
  const person = await world.signedIn()
  const create = () => person.api('create-api-token', { input: { name: 'a program', scopes: ['tweets:read'] } })
  way.undoNext(1, 'insert into "api_tokens"')
  await expect(create()).rejects.toThrow('The gateway failed')
  expect([way.undone(), await world.db().$count(apiTokens)]).toEqual([1, 0])
  await create()
  expect(await world.db().$count(apiTokens)).toBe(1)
})

test('does not sign in a user whose session was not stored', async () => {
  const { way, world } = await openWorldThroughIt()
  const before = await world.db().$count(sessions)
  way.undoNext(1, 'insert into "sessions"')
  const person = world.browser()
  await person.signIn('mara-holt').catch(() => {})
  expect(way.undone()).toBe(1)
  const viewer = await person.api('viewer').then(
    (response) => response.viewer,
    () => null,
  )
  expect(await world.db().$count(sessions)).toBe(before + (viewer === null ? 0 : 1))
})

test.each([
  ['the pool', openPostgres],
  ['a connection of its own', (url: string) => ({ client: openSingleConnection(url) })],
])('on %s checks the outcome of every transaction, and keeps the connection', async (_, open) => {
  const way = await openDatabaseThroughIt()
  const opened = open(way.url)
  onTestFinished(() => ('db' in opened ? opened.close() : opened.client.end()))
  const execute = async (text: string) =>
    'db' in opened ? opened.db.execute(sql.raw(text)) : opened.client.unsafe(text)
  const write = (what: string) =>
    'db' in opened
      ? opened.db.transaction((db) => db.execute(sql.raw(`insert into written values ('${what}')`)))
      : opened.client.begin((client) => client.unsafe(`insert into written values ('${what}')`))
  await execute('create table written (what text)')
  way.undoNext(1)
  await expect(write('lost')).rejects.toThrow('answered COMMIT with ROLLBACK')
  await write('kept')
  expect(Array.from(Object(await execute('select what from written')))).toEqual([{ what: 'kept' }])
})
