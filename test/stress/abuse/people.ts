// The users of a gateway before it starts.
import { join } from 'node:path'
import { type SQL, sql } from 'drizzle-orm'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { startSession } from '../../../src/auth/session.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { openPglite, openPostgres } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import { users } from '../../../src/db/tables.ts'
import { createDeps, type Deps } from '../../../src/deps.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import type { Neighbour } from './neighbour.ts'

export type Size = {
  /** The number of users with a token that may follow events. */
  people: number
  /** The number of events of the first of them. */
  history: number
  /** The number of tweets of the user who is deleted. */
  tweets: number
}

export type People = {
  tokens: string[]
  /** The Cookie headers of an ordinary user, and of ten greedy ones. */
  cookies: string[]
  /** Ten others, who together send no more than their rate limits allow. */
  neighbour: Neighbour
  leaver: { login: string; cookie: string; tweets: number }
}

const SESSIONS = 11
const NEIGHBOURS = 10
const ROWS_OF_A_STATEMENT = 10_000

/** Adds the users to a new database. @param databaseUrl null for the embedded database. */
export async function addPeople(dataDir: string, databaseUrl: string | null, size: Size): Promise<People> {
  await using resources = new AsyncDisposableStack()
  const database = databaseUrl === null ? await openPglite(join(dataDir, 'pglite')) : openPostgres(databaseUrl)
  resources.defer(() => database.close())
  await migrateDatabase(database)
  const webhookEgress = createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 1 })
  resources.defer(() => webhookEgress.close())
  const deps = createDeps({
    db: database.db,
    config: parseConfig({ DATA_DIR: dataDir }),
    log: createLog('error', { write: (line) => void process.stderr.write(line) }),
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress,
    eventNotifier: { notify: () => {}, end: async () => {} },
  })
  const tokens: string[] = []
  const cookies: string[] = []
  for (let number = 1; number <= Math.max(size.people, SESSIONS); number++) {
    const { userId } = await addUser(deps, number)
    const token = { name: 'a program', scopes: ['events:read'], expiresInDays: 1 }
    if (tokens.length < size.people) tokens.push((await createApiToken(deps, { userId }, token)).secret)
    if (cookies.length < SESSIONS) cookies.push(await signIn(deps, userId))
  }
  const neighbours: string[] = []
  for (let number = 1; number <= NEIGHBOURS; number++)
    neighbours.push(await signIn(deps, (await addUser(deps, 1_000_000 + number)).userId))
  const { userId, login } = await addUser(deps, 2_000_000)
  const leaver = { login, cookie: await signIn(deps, userId), tweets: size.tweets }
  await addEvents(deps, size.history)
  await addTweets(deps, userId, size.tweets)
  await deps.db.execute(sql`analyze`)
  return { tokens, cookies, neighbour: { query: '{ viewer { id } }', cookies: neighbours }, leaver }
}

async function addUser(deps: Deps, githubId: number): Promise<{ userId: string; login: string }> {
  const login = `person-${githubId}`
  const [user] = await deps.db.insert(users).values({ githubId, login }).returning()
  if (user === undefined) throw new Error('Bug: an insert gives no row')
  return { userId: user.id, login }
}

async function signIn(deps: Deps, userId: string): Promise<string> {
  return (await startSession(deps, userId, null)).setCookie.split(';', 1)[0] ?? ''
}

async function addEvents(deps: Deps, count: number): Promise<void> {
  await inParts(
    deps,
    count,
    (from, to) => sql`
    insert into events (user_id, id, position, type, occurred_at)
    select user_id, gen_random_uuid(), position + n, 'tweet.posted', xconnect_now()
    from event_positions, generate_series(${from}::int, ${to}::int) n
    where user_id = (select id from users where github_id = 1)`,
  )
  await deps.db.execute(sql`update event_positions set position = position + ${count}::int
    where user_id = (select id from users where github_id = 1)`)
}

async function addTweets(deps: Deps, userId: string, count: number): Promise<void> {
  await inParts(
    deps,
    count,
    (from, to) => sql`
    insert into tweets (user_id, id, account_id, text, status, claimed_until, sent_at, x_tweet_id, created_at, posted_at)
    select ${userId}::uuid, gen_random_uuid(), ${userId}::uuid, 'Number ' || n, 'POSTED', now(), now(), n, now(), now()
    from generate_series(${from}::int, ${to}::int) n`,
  )
}

// Each part is far from the time limit of statements. Foreign keys are not checked: the tweets need
// no account.
async function inParts(deps: Deps, count: number, insert: (from: number, to: number) => SQL): Promise<void> {
  for (let from = 1; from <= count; from += ROWS_OF_A_STATEMENT)
    await deps.db.transaction(async (db) => {
      await db.execute(sql`set local session_replication_role = replica`)
      await db.execute(insert(from, Math.min(from + ROWS_OF_A_STATEMENT - 1, count)))
    })
}
