// What each mutation writes, compared with what it costs.
import { randomUUID } from 'node:crypto'
import { desc, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { MAX_SESSIONS } from '../../../src/auth/session-rows.ts'
import { defaultUserLimits } from '../../../src/config/user-limits.ts'
import {
  connectedAccounts,
  eventPositions,
  eventTypes,
  invites,
  OPERATOR_ID,
  sessions,
  tweets,
  users,
  webhookDeliveries,
  webhookEndpoints,
} from '../../../src/db/tables.ts'
import { ROW_COMPLEXITY } from '../../../src/graphql/mutation-cost.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type Instance, openInstance } from '../../support/instance.ts'
import { installRowCounter, rowsWritten } from '../../support/rows-written.ts'

const mutations = schema.getMutationType()?.getFields() ?? {}

let world: World
let instance: Instance
let account: ConnectedAccount
let person: Browser
let jobs: number

beforeAll(async () => {
  world = await startWorld()
  account = await connectAccount(world)
  person = account.person
  instance = openInstance(world)
  Object.assign(instance.deps, {
    jobs: {
      enqueue: async () => {
        jobs += 1
      },
      expectDeliveries: () => {},
    },
    webhookEgress: { ...instance.deps.webhookEgress, check: async (url: string) => url },
  })
  await installRowCounter(world)
  // As many endpoints as a user may have, all of which get every event.
  await world.db().execute(sql`insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
    select user_id, gen_random_uuid(), 'https://example.com/' || n, 'sealed', xconnect_now()
    from connected_accounts, generate_series(1, ${defaultUserLimits.webhookEndpoints}::int) n`)
  await world.db().update(eventPositions).set({ endpointsVersion: 1 })
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

type Scenario = {
  /** The input; null without one. */
  input: () => Promise<object | null>
  /** The browser that sends it; by default that of `person`. */
  browser?: () => Promise<Browser>
  /** True for an act of the operator. */
  isAct?: boolean
}

const API_TOKEN = { name: 'bot', scopes: ['accounts:read'] }
const endpointId = async () => {
  const [endpoint] = await world.db().select({ id: webhookEndpoints.id }).from(webhookEndpoints)
  return { webhookEndpointId: endpoint?.id }
}
const lastTweet = async () => {
  const [tweet] = await world.db().select({ id: tweets.id }).from(tweets).orderBy(desc(tweets.createdAt))
  return tweet?.id
}

// Another user than `person`, with an account and a tweet, for the acts of the operator.
const tomasz = async () => {
  const [user] = await world.db().select({ id: users.id }).from(users).where(eq(users.login, 'tomasz-k'))
  return user?.id ?? expect.fail()
}
const accountOfTomasz = async () => {
  const userId = await tomasz()
  const [own] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.userId, userId))
  return own?.id ?? expect.fail()
}

// As many sessions as a user may have.
const signInEverywhere = async () => {
  const userId = await tomasz()
  const [own] = await world.db().select().from(sessions).where(eq(sessions.userId, userId))
  if (own === undefined) expect.fail()
  const others = Array.from({ length: MAX_SESSIONS - 1 }, () => ({ ...own, id: randomUUID(), publicId: randomUUID() }))
  await world.db().insert(sessions).values(others)
  return { userId }
}
// All endpoints of the operator name the acts.
const addEndpoints = async () => {
  for (const userId of [await tomasz(), OPERATOR_ID]) {
    await world
      .db()
      .execute(sql`insert into webhook_endpoints (user_id, id, url, secret_sealed, event_types, created_at)
      select ${userId}::uuid, gen_random_uuid(), 'https://example.com/' || n, 'sealed', ${`{${eventTypes.join(',')}}`}::text::text[], xconnect_now()
      from generate_series(1, ${defaultUserLimits.webhookEndpoints}::int) n`)
    await world
      .db()
      .insert(eventPositions)
      .values({ userId, position: 0, endpointsVersion: 1 })
      .onConflictDoUpdate({ target: eventPositions.userId, set: { endpointsVersion: 1 } })
  }
}

/** In the order in which they are sent. Each succeeds, and does as much as it can. */
const scenarios: Record<string, Scenario> = {
  setLinkVisibility: { input: async () => ({ visibility: 'INTEGRATORS' }) },
  createApiToken: { input: async () => API_TOKEN },
  revokeApiToken: {
    input: async () => {
      const { createApiToken } = await person.api('create-api-token', { input: API_TOKEN })
      return { apiTokenId: createApiToken.apiToken?.id }
    },
  },
  startXConnect: { input: async () => ({}) },
  postTweet: { input: async () => ({ text: 'A tweet', idempotencyKey: 'a key' }) },
  deleteTweet: { input: async () => ({ tweetId: await lastTweet() }) },
  testWebhookEndpoint: { input: endpointId },
  replayWebhookDelivery: {
    input: async () => {
      const [delivery] = await world.db().select({ id: webhookDeliveries.id }).from(webhookDeliveries)
      return { webhookDeliveryId: delivery?.id }
    },
  },
  rotateWebhookSecret: { input: endpointId },
  updateWebhookEndpoint: { input: async () => ({ ...(await endpointId()), description: 'Another' }) },
  deleteWebhookEndpoint: { input: endpointId },
  createWebhookEndpoint: { input: async () => ({ url: 'https://example.com/new' }) },
  disconnectAccount: { input: async () => ({ accountId: account.id }) },
  revokeSession: {
    input: async () => {
      await world.signedIn()
      const { sessions } = await person.api<{ sessions: { id: string; current: boolean }[] }>('sessions')
      return { sessionId: sessions.find(({ current }) => !current)?.id }
    },
  },
  revokeOtherSessions: {
    input: async () => {
      const [own] = await world.db().select().from(sessions)
      if (own === undefined) expect.fail()
      const others = Array.from({ length: MAX_SESSIONS - 1 }, () => ({
        ...own,
        id: randomUUID(),
        publicId: randomUUID(),
      }))
      await world.db().insert(sessions).values(others)
      return null
    },
  },
  signOut: { input: async () => null, browser: () => world.signedIn() },
  deleteViewer: { input: async () => ({ login: 'mara-holt' }) },
  signOutUser: {
    isAct: true,
    input: async () => {
      await world.connected('tomasz_k', 'tomasz-k')
      await addEndpoints()
      return signInEverywhere()
    },
  },
  blockUser: {
    isAct: true,
    input: async () => {
      await world.signedIn('tomasz-k')
      return signInEverywhere()
    },
  },
  unblockUser: { isAct: true, input: async () => ({ userId: await tomasz() }) },
  reconcileUserTweet: {
    isAct: true,
    input: async () => {
      const [userId, accountId, tweetId, now] = [await tomasz(), await accountOfTomasz(), randomUUID(), new Date()]
      const doubt = { status: 'UNKNOWN', errorCode: 'OUTCOME_UNKNOWN', timelineReads: 3 } as const
      const row = { id: tweetId, userId, accountId, text: 'a tweet', claimedUntil: now, createdAt: now }
      await world
        .db()
        .insert(tweets)
        .values({ ...row, ...doubt })
      return { userId, tweetId }
    },
  },
  retryJob: {
    isAct: true,
    input: async () => {
      const data = JSON.stringify({ userId: await tomasz(), id: randomUUID() })
      const [job] = await queryRows(
        world,
        sql`insert into pgboss.job (name, data, start_after) values ('revoke-grant', ${data}::jsonb, now() + interval '1 day')
          returning id`,
      )
      return { queue: 'REVOKE_GRANT', jobId: job?.id }
    },
  },
  createInvite: { isAct: true, input: async () => ({ note: 'for Yuki' }) },
  revokeInvite: {
    isAct: true,
    input: async () => {
      const [invite] = await world.db().select({ id: invites.id }).from(invites)
      return { inviteId: invite?.id }
    },
  },
  disconnectUserAccount: { isAct: true, input: async () => ({ accountId: await accountOfTomasz() }) },
  deleteUser: { isAct: true, input: async () => ({ userId: await tomasz() }) },
}

const operatorHeaders = async () => {
  const token = { name: 'Support desk', scopes: ['admin:write'], expiresInDays: 1 }
  const { secret } = await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, token)
  return { authorization: `Bearer ${secret}` }
}

test('G-32 every mutation has a scenario here', () => {
  expect(Object.keys(scenarios).toSorted()).toEqual(Object.keys(mutations).toSorted())
})

// Their price is that of the call, and of what a deletion may have to note.
const CALLS = Object.keys(mutations).filter((name) => mutations[name]?.extensions.complexity === 500)
const DELETIONS = ['deleteUser', 'deleteViewer', 'deleteWebhookEndpoint']

test.each(Object.keys(scenarios))('G-32 %s writes no more rows than it costs', async (name) => {
  const { input, browser, isAct = false } = scenarios[name] ?? expect.fail()
  const variables = { input: await input() }
  const headers = isAct ? await operatorHeaders() : cookieOf((await browser?.()) ?? person)
  const [argument] = mutations[name]?.args ?? []
  const document =
    argument === undefined
      ? `mutation { ${name} { userErrors { code message } } }`
      : `mutation ($input: ${argument.type}) { ${name}(input: $input) { userErrors { code message } } }`
  jobs = 0
  const written = await rowsWritten(world, async () => {
    const { data, errors } = await instance.ask(document, headers, variables)
    expect(errors).toEqual([])
    expect(data).toEqual({ [name]: { userErrors: [] } })
  })
  // Nobody sends them.
  await world
    .db()
    .update(webhookDeliveries)
    .set({ status: 'DEAD', lastError: 'ENDPOINT_DISABLED', nextAttemptAt: null })
  const complexity = Number(mutations[name]?.extensions.complexity)
  const rows = written.length + jobs
  expect(rows * ROW_COMPLEXITY, [...written, `${jobs} jobs`].join(', ')).toBeLessThanOrEqual(complexity)
  if (!CALLS.includes(name) && !DELETIONS.includes(name))
    expect(rows * ROW_COMPLEXITY, name).toBeGreaterThanOrEqual(complexity / 2)
})
