import { and, desc, eq, isNotNull, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import {
  connectedAccounts,
  events,
  OPERATOR_ID,
  oauthTokens,
  type operatorScopes,
  sessions,
  tweets,
  users,
} from '../../../src/db/tables.ts'
import { type Browser, isSignedIn } from '../../support/browser.ts'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'
import { countRows } from '../../support/user-deletion.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

type Scope = (typeof operatorScopes)[number]

async function operatorToken(scopes: readonly Scope[], name = 'Support desk'): Promise<string> {
  const deps = { db: world.db(), clock: world.clock }
  return (await createApiToken(deps, { userId: OPERATOR_ID }, { name, scopes, expiresInDays: 1 })).secret
}

// biome-ignore lint/suspicious/noExplicitAny: the shape of a response follows from its document.
type Loose = any

/** Sends a document with an operator's token, and returns the response. */
async function ask(secret: string | null, query: string, variables: Record<string, unknown> = {}) {
  const response = await fetch(new URL('/graphql', world.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query, variables }),
  })
  return { status: response.status, ...((await response.json()) as { data: Loose; errors?: Loose[] }) }
}

/** Runs one act, and returns its payload. */
async function act(secret: string | null, mutation: string, selection: string, input: Record<string, unknown>) {
  const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`
  const document = `mutation ($input: ${type}!) { ${mutation}(input: $input) { ${selection} userErrors { code field } } }`
  const { data, errors } = await ask(secret, document, { input })
  expect(errors).toBeUndefined()
  return data[mutation]
}

const rowOf = async (login: string) => {
  const [user] = await world.db().select().from(users).where(eq(users.login, login)).orderBy(desc(users.createdAt))
  if (user === undefined) throw new Error(`There is no user ${login}`)
  return user
}

const actsOf = (userId: string) =>
  world
    .db()
    .select({ type: events.type, actor: events.actor, subjectUserId: events.subjectUserId })
    .from(events)
    .where(and(eq(events.userId, OPERATOR_ID), eq(events.subjectUserId, userId), isNotNull(events.actor)))
    .orderBy(events.position)

const typesOf = async (userId: string) =>
  (await world.db().select().from(events).where(eq(events.userId, userId)).orderBy(events.position)).map(
    ({ type }) => type,
  )

describe('blockUser', () => {
  test('ends sessions, suspends API tokens, keeps the connection and refuses the sign-in; unblockUser ends all that', async () => {
    const person = await world.connected('maraholt', 'mara-holt')
    const { createApiToken: made } = await person.api('create-api-token', {
      input: { name: 'bot', scopes: ['tweets:write', 'events:read'] },
    })
    const bot = made.secret
    const { id } = await rowOf('mara-holt')
    const admin = await operatorToken(['admin:read', 'admin:write'])
    const blocked = await act(admin, 'blockUser', 'user { id blockedAt }', { userId: id })
    expect(blocked).toMatchObject({ user: { id, blockedAt: expect.any(String) }, userErrors: [] })
    expect(await isSignedIn(person)).toBe(false)
    expect(await world.db().select().from(sessions).where(eq(sessions.userId, id))).toEqual([])
    expect((await ask(bot, '{ viewer { login } }')).status).toBe(401)
    expect(await world.browser().signIn('mara-holt')).toMatchObject({ outcome: 'failed', code: 'USER_BLOCKED' })
    expect(await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.userId, id))).toMatchObject([
      { status: 'ACTIVE' },
    ])
    // Again it does nothing.
    expect(await act(admin, 'blockUser', 'user { blockedAt }', { userId: id })).toMatchObject({
      user: { blockedAt: blocked.user.blockedAt },
    })
    expect(await act(admin, 'unblockUser', 'user { blockedAt }', { userId: id })).toMatchObject({
      user: { blockedAt: null },
      userErrors: [],
    })
    // An instance remembers for some seconds that it has refused a token.
    await expect
      .poll(async () => (await ask(bot, '{ viewer { login } }')).data, { timeout: 30_000, interval: 500 })
      .toEqual({ viewer: { login: 'mara-holt' } })
    const back = world.browser()
    expect(await back.signIn('mara-holt')).toMatchObject({ outcome: 'succeeded' })
    expect((await typesOf(id)).filter((type) => type.startsWith('operator.'))).toEqual([
      'operator.user_blocked',
      'operator.user_unblocked',
    ])
    const ended = await world
      .db()
      .select({ reason: events.reason })
      .from(events)
      .where(and(eq(events.userId, id), eq(events.type, 'session.ended')))
    expect(ended).toEqual([{ reason: 'BLOCKED' }])
    expect(await actsOf(id)).toEqual([
      { type: 'operator.user_blocked', actor: 'token:Support desk', subjectUserId: id },
      { type: 'operator.user_unblocked', actor: 'token:Support desk', subjectUserId: id },
    ])
  })

  test('stops a post that was let in and not sent yet, and uses no token for the user', async () => {
    const person = await world.connected('tomasz_k', 'tomasz-k')
    const { id } = await rowOf('tomasz-k')
    const admin = await operatorToken(['admin:write'])
    world.sandbox.control.expireAccessToken('tomasz_k')
    await world
      .db()
      .update(oauthTokens)
      .set({ accessExpiresAt: new Date(0) })
      .where(eq(oauthTokens.userId, id))
    world.sandbox.control.inject({
      kind: 'delay',
      milliseconds: 6_000,
      match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } },
    })
    const before = world.sandbox.control.tweets('tomasz_k').length
    const refreshed = world.sandbox.control.countTokenCalls('refresh_token')
    const posting = person.api('post-tweet', { input: { text: 'too late', idempotencyKey: 'blocked-1' } })
    const countRefreshes = () => world.sandbox.control.countTokenCalls('refresh_token')
    await expect.poll(countRefreshes, { timeout: 5_000 }).toBe(refreshed + 1)
    await act(admin, 'blockUser', 'user { id }', { userId: id })
    const { postTweet } = await posting
    expect(postTweet.userErrors).toMatchObject([{ code: 'USER_BLOCKED' }])
    expect(world.sandbox.control.tweets('tomasz_k')).toHaveLength(before)
    const refreshes = world.sandbox.control.countTokenCalls('refresh_token')
    await queryRows(
      world,
      sql`update oauth_tokens set refresh_issued_at = now() - interval '151 days' where user_id = ${id}`,
    )
    await sweepNow(world)
    expect(world.sandbox.control.countTokenCalls('refresh_token')).toBe(refreshes)
    await act(admin, 'unblockUser', 'user { id }', { userId: id })
    await sweepNow(world)
    expect(world.sandbox.control.countTokenCalls('refresh_token')).toBeGreaterThan(refreshes)
  })

  test('ends the event streams of the user', async () => {
    const person = await world.signedIn('yuki-ito')
    const { id } = await rowOf('yuki-ito')
    const admin = await operatorToken(['admin:write'])
    const stream = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: 'subscription { events { node { type } } }' }),
    })
    const text = stream.text()
    await act(admin, 'blockUser', 'user { id }', { userId: id })
    expect(await text).toContain('UNAUTHENTICATED')
    await act(admin, 'unblockUser', 'user { id }', { userId: id })
  })
})

test('signOutUser ends all sessions and keeps API tokens', async () => {
  const [one, other] = [await world.signedIn('yuki-ito'), await world.signedIn('yuki-ito')]
  const { createApiToken: made } = await other.api('create-api-token', {
    input: { name: 'bot', scopes: ['tweets:read'] },
  })
  const { id } = await rowOf('yuki-ito')
  const admin = await operatorToken(['admin:write'])
  const payload = await act(admin, 'signOutUser', 'endedSessions user { id }', { userId: id })
  expect(payload).toMatchObject({ endedSessions: 2, user: { id } })
  expect([await isSignedIn(one), await isSignedIn(other)]).toEqual([false, false])
  expect((await ask(made.secret, '{ viewer { login } }')).data.viewer.login).toBe('yuki-ito')
  expect((await actsOf(id)).at(-1)).toMatchObject({ type: 'operator.user_signed_out' })
})

describe('what the operator reads', () => {
  test('users by id, by login and by the username of an X account, in pages', async () => {
    await world.connected('maraholt', 'mara-holt')
    const admin = await operatorToken(['admin:read'])
    const { id } = await rowOf('mara-holt')
    const list = async (args: string) =>
      (await ask(admin, `{ admin { users${args} { nodes { id login } pageInfo { hasNextPage endCursor } } } }`)).data
        .admin.users
    expect((await list('(githubLogin: "MARA-holt")')).nodes).toEqual([{ id, login: 'mara-holt' }])
    expect((await list('(xUsername: "@MaraHolt")')).nodes).toEqual([{ id, login: 'mara-holt' }])
    expect((await list('(xUsername: "nobody")')).nodes).toEqual([])
    const all: string[] = []
    for (let after: string | null = null, more = true; more; ) {
      const page = await list(`(first: 1${after === null ? '' : `, after: "${after}"`})`)
      all.push(...page.nodes.map((node: { id: string }) => node.id))
      after = page.pageInfo.endCursor
      more = page.pageInfo.hasNextPage
    }
    const stored = await world.db().select({ id: users.id }).from(users)
    expect(all).toEqual(
      stored
        .map((user) => user.id)
        .filter((one) => one !== OPERATOR_ID)
        .toSorted(),
    )
    const found = await ask(
      admin,
      'query ($id: ID!) { admin { user(userId: $id) { login githubId blockedAt isBeingDeleted } } }',
      { id },
    )
    expect(found.data.admin.user).toEqual({
      login: 'mara-holt',
      githubId: '58320114',
      blockedAt: null,
      isBeingDeleted: false,
    })
    const operator = await ask(admin, 'query ($id: ID!) { admin { user(userId: $id) { login } } }', { id: OPERATOR_ID })
    expect(operator.data.admin.user).toBeNull()
  })

  test('X accounts by user and by username, in pages, without tokens', async () => {
    const admin = await operatorToken(['admin:read'])
    const { id: userId } = await rowOf('mara-holt')
    const list = async (args: string) =>
      (
        await ask(
          admin,
          `{ admin { accounts${args} { nodes { id userId username } pageInfo { hasNextPage endCursor } } } }`,
        )
      ).data.admin.accounts
    const [own] = (await list(`(userId: "${userId}")`)).nodes
    expect(own).toMatchObject({ userId, username: 'maraholt' })
    expect((await list('(xUsername: "MARAHOLT")')).nodes).toEqual([own])
    const first = await list('(first: 1)')
    const stored = await world.db().select({ id: connectedAccounts.id }).from(connectedAccounts)
    expect(first.pageInfo.hasNextPage).toBe(stored.length > 1)
    const rest = await list(`(after: "${first.pageInfo.endCursor}")`)
    expect([...first.nodes, ...rest.nodes].map(({ id }) => id)).toEqual(stored.map(({ id }) => id).toSorted())
    const one = await ask(admin, 'query ($id: ID!) { admin { account(accountId: $id) { id status } } }', { id: own.id })
    expect(one.data.admin.account).toEqual({ id: own.id, status: 'ACTIVE' })
  })

  test('the tweets of a user, without their texts', async () => {
    const person = await world.signedIn('mara-holt')
    const { postTweet } = await person.api('post-tweet', {
      input: { text: 'not for operators', idempotencyKey: 'listed-1' },
    })
    const { id: userId } = await rowOf('mara-holt')
    const admin = await operatorToken(['admin:read'])
    const variables = { userId, tweetId: postTweet.tweet?.id }
    const { data } = await ask(
      admin,
      'query ($userId: ID!, $tweetId: ID!) { admin { tweets(userId: $userId) { nodes { id status } } tweet(userId: $userId, tweetId: $tweetId) { id status attempt errorCode } } }',
      variables,
    )
    expect(data.admin.tweets.nodes).toContainEqual({ id: variables.tweetId, status: 'POSTED' })
    expect(data.admin.tweet).toEqual({ id: variables.tweetId, status: 'POSTED', attempt: 1, errorCode: null })
  })

  test('figures and jobs', async () => {
    const admin = await operatorToken(['admin:read'])
    const { data } = await ask(
      admin,
      '{ admin { stats { users { count isExact } tweets { count } unknownTweets { count } jobs { queue count failed } } jobs(queue: REVOKE_GRANT) { nodes { id } } invites { id } } }',
    )
    const count = (await world.db().$count(users)) - 1
    expect(data.admin.stats.users).toEqual({ count, isExact: true })
    expect(data.admin.stats.jobs).toHaveLength(5)
    expect(data.admin.jobs.nodes).toEqual([])
  })

  test('is refused to every other caller, before anything is done', async () => {
    const person = await world.signedIn('mara-holt')
    const { id } = await rowOf('mara-holt')
    const read = '{ admin { stats { users { count } } } }'
    const block = `mutation { blockUser(input: {userId: "${id}"}) { user { id } } }`
    const { createApiToken: made } = await person.api('create-api-token', {
      input: { name: 'all', scopes: ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'] },
    })
    for (const [secret, document] of [
      [made.secret, read],
      [made.secret, block],
      [await operatorToken(['accounts:read', 'events:read']), read],
      [await operatorToken(['accounts:read', 'events:read']), block],
      [await operatorToken(['admin:read']), block],
      [await operatorToken(['admin:write']), read],
    ] as const)
      expect(await ask(secret, document)).toMatchObject({
        status: 403,
        errors: [{ extensions: { code: 'FORBIDDEN' } }],
      })
    await expect(person.query(read)).rejects.toThrow("operator's admin:read")
    await expect(person.query(block)).rejects.toThrow("operator's admin:write")
    expect((await rowOf('mara-holt')).blockedAt).toBeNull()
  })

  test('a user’s token never gets admin scopes', async () => {
    const person = await world.signedIn('mara-holt')
    for (const scope of ['admin:read', 'admin:write']) {
      const { createApiToken: made } = await person.api('create-api-token', {
        input: { name: 'x', scopes: [scope] },
      })
      expect(made).toMatchObject({ secret: null, userErrors: [{ code: 'API_TOKEN_SCOPES_INVALID' }] })
    }
  })
})

describe('acts', () => {
  test('on ids that nothing has are refused by name', async () => {
    const admin = await operatorToken(['admin:write'])
    const none = crypto.randomUUID()
    for (const [mutation, selection, input, code] of [
      ['blockUser', 'user { id }', { userId: none }, 'USER_NOT_FOUND'],
      ['blockUser', 'user { id }', { userId: OPERATOR_ID }, 'USER_NOT_FOUND'],
      ['unblockUser', 'user { id }', { userId: 'x' }, 'USER_NOT_FOUND'],
      ['signOutUser', 'endedSessions', { userId: none }, 'USER_NOT_FOUND'],
      ['deleteUser', 'deletion { id }', { userId: none }, 'USER_NOT_FOUND'],
      ['deleteUser', 'deletion { id }', { userId: OPERATOR_ID }, 'USER_NOT_FOUND'],
      ['disconnectUserAccount', 'account { id }', { accountId: none }, 'ACCOUNT_NOT_FOUND'],
      ['reconcileUserTweet', 'tweet { id }', { userId: none, tweetId: none }, 'TWEET_NOT_FOUND'],
      ['retryJob', 'job { id }', { queue: 'REVOKE_GRANT', jobId: none }, 'JOB_NOT_FOUND'],
      ['revokeInvite', 'invite { id }', { inviteId: none }, 'INVITE_NOT_FOUND'],
    ] as const)
      expect((await act(admin, mutation, selection, input)).userErrors, mutation).toMatchObject([{ code }])
  })

  test('disconnectUserAccount disconnects, has the grant revoked, and says who', async () => {
    const person: Browser = await world.connected('maraholt', 'mara-holt')
    const { id } = await rowOf('mara-holt')
    const [account] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.userId, id))
    const admin = await operatorToken(['admin:write'], 'Desk 2')
    const payload = await act(admin, 'disconnectUserAccount', 'account { id status statusReason }', {
      accountId: account?.id,
    })
    expect(payload.account).toEqual({
      id: account?.id,
      status: 'DISCONNECTED',
      statusReason: 'DISCONNECTED_BY_OPERATOR',
    })
    await expect
      .poll(() => world.sandbox.control.grants('maraholt').some(({ live }) => live), { timeout: 20_000 })
      .toBe(false)
    expect((await actsOf(id)).at(-1)).toMatchObject({ type: 'operator.account_disconnected', actor: 'token:Desk 2' })
    const { events: own } = await person.query<Loose>('{ events(last: 2) { nodes { type reason actor } } }')
    expect(own.nodes).toEqual([
      { type: 'ACCOUNT_DISCONNECTED', reason: 'DISCONNECTED_BY_OPERATOR', actor: null },
      { type: 'OPERATOR_ACCOUNT_DISCONNECTED', reason: null, actor: null },
    ])
  })

  test('reconcileUserTweet looks for a tweet once more that the gateway has given up', async () => {
    const person = await world.connected('maraholt', 'mara-holt')
    const { id: userId } = await rowOf('mara-holt')
    const { postTweet } = await person.api('post-tweet', {
      input: { text: 'lost and found', idempotencyKey: 'doubt-1' },
    })
    const { id, accountId, xTweetId } =
      (
        await world
          .db()
          .select()
          .from(tweets)
          .where(eq(tweets.id, postTweet.tweet?.id ?? ''))
      )[0] ?? {}
    const admin = await operatorToken(['admin:read', 'admin:write'])
    const known = await act(admin, 'reconcileUserTweet', 'tweet { id }', { userId, tweetId: id })
    expect(known.userErrors).toMatchObject([{ code: 'TWEET_NOT_UNKNOWN' }])
    await queryRows(
      world,
      sql`update tweets set status = 'UNKNOWN', error_code = 'OUTCOME_UNKNOWN', x_tweet_id = null, posted_at = null,
        unknown_since = created_at, timeline_reads = 3 where user_id = ${userId} and id = ${id}`,
    )
    const listed = await ask(admin, '{ admin { unknownTweets { nodes { id userId accountId timelineReads } } } }')
    expect(listed.data.admin.unknownTweets.nodes).toEqual([{ id, userId, accountId, timelineReads: 3 }])
    const payload = await act(admin, 'reconcileUserTweet', 'tweet { id timelineReads }', { userId, tweetId: id })
    expect(payload).toMatchObject({ tweet: { id }, userErrors: [] })
    await expect
      .poll(
        async () =>
          (
            await world
              .db()
              .select()
              .from(tweets)
              .where(eq(tweets.id, id ?? ''))
          )[0]?.xTweetId,
        { timeout: 20_000 },
      )
      .toBe(xTweetId)
    expect((await actsOf(userId)).at(-1)).toMatchObject({ type: 'operator.tweet_reconciled' })
  })

  test('retryJob runs a job that waits', async () => {
    await world.connected('maraholt', 'mara-holt')
    const { id } = await rowOf('mara-holt')
    const [account] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.userId, id))
    const admin = await operatorToken(['admin:read', 'admin:write'])
    world.sandbox.control.inject({ kind: 'status', match: { path: '/2/oauth2/revoke' }, status: 503, times: 1 })
    await act(admin, 'disconnectUserAccount', 'account { id }', { accountId: account?.id })
    const list = async () =>
      (await ask(admin, '{ admin { jobs(queue: REVOKE_GRANT) { nodes { id status userId } } } }')).data.admin.jobs.nodes
    await expect.poll(list, { timeout: 20_000 }).toMatchObject([{ status: 'RETRYING', userId: id }])
    const [job] = await list()
    await queryRows(world, sql`update pgboss.job set start_after = now() + interval '1 hour' where id = ${job.id}`)
    const payload = await act(admin, 'retryJob', 'job { id status }', { queue: 'REVOKE_GRANT', jobId: job.id })
    expect(payload.job).toEqual({ id: job.id, status: 'RETRYING' })
    await expect.poll(list, { timeout: 20_000 }).toEqual([])
    expect(world.sandbox.control.grants('maraholt').some(({ live }) => live)).toBe(false)
    const acts = await world.db().select().from(events).where(eq(events.type, 'operator.job_retried'))
    expect(acts.map(({ userId, reason }) => [userId === OPERATOR_ID, reason]).toSorted()).toEqual([
      [false, 'REVOKE_GRANT'],
      [true, 'REVOKE_GRANT'],
    ])
  })

  test('retryJob runs the job of a user who has been deleted meanwhile', async () => {
    const userId = '019ac000-0000-7000-8000-000000000001'
    const data = JSON.stringify({ userId, id: userId })
    const [job] = await queryRows(
      world,
      sql`insert into pgboss.job (name, data, start_after) values ('revoke-grant', ${data}::jsonb, now() + interval '1 day')
        returning id`,
    )
    const admin = await operatorToken(['admin:write'])
    const payload = await act(admin, 'retryJob', 'job { userId }', { queue: 'REVOKE_GRANT', jobId: job?.id })
    expect(payload).toEqual({ job: { userId }, userErrors: [] })
    expect(await actsOf(userId)).toEqual([
      { type: 'operator.job_retried', actor: 'token:Support desk', subjectUserId: userId },
    ])
    expect(await typesOf(userId)).toEqual([])
  })

  test('are read with admin:read and events:read alone, and sent to no endpoint that did not ask for them', async () => {
    const list = async (scopes: readonly Scope[]) => {
      const { data } = await ask(await operatorToken(scopes), '{ events(first: 100) { nodes { type actor userId } } }')
      return data.events.nodes as { type: string; actor: string | null }[]
    }
    const all = await list(['events:read', 'admin:read'])
    expect(all).toContainEqual({
      type: 'OPERATOR_USER_BLOCKED',
      actor: 'token:Support desk',
      userId: expect.any(String),
    })
    expect((await list(['events:read'])).filter(({ type }) => type.startsWith('OPERATOR_'))).toEqual([])
  })

  test('createInvite gives a link that works, and revokeInvite revokes it', async () => {
    const admin = await operatorToken(['admin:read', 'admin:write'])
    const made = await act(admin, 'createInvite', 'invite { id note } url', { note: 'for Yuki', expiresInDays: 2 })
    expect(made.url.startsWith(`${world.url}/auth/github?invite=`)).toBe(true)
    expect((await ask(admin, '{ admin { invites { id createdBy } } }')).data.admin.invites).toEqual([
      { id: made.invite.id, createdBy: 'token:Support desk' },
    ])
    const revoked = await act(admin, 'revokeInvite', 'invite { note }', { inviteId: made.invite.id })
    expect(revoked).toMatchObject({ invite: { note: 'for Yuki' }, userErrors: [] })
    expect((await ask(admin, '{ admin { invites { id } } }')).data.admin.invites).toEqual([])
  })

  test('deleteUser deletes the user, and the act outlives them without their name', async () => {
    await world.connected('maraholt', 'mara-holt')
    const { id } = await rowOf('mara-holt')
    const admin = await operatorToken(['admin:write'])
    const payload = await act(admin, 'deleteUser', 'deletion { id status }', { userId: id })
    expect(payload).toMatchObject({ deletion: { status: 'DELETING' }, userErrors: [] })
    // Only the acts are left, with the random id of the user.
    const acts = await actsOf(id)
    await expect
      .poll(() => countRows(world, id), { timeout: 60_000 })
      .toEqual({ 'events of the operator': acts.length })
    expect((await actsOf(id)).at(-1)).toEqual({
      type: 'operator.user_deleted',
      actor: 'token:Support desk',
      subjectUserId: id,
    })
    expect(await world.db().select().from(users).where(eq(users.id, id))).toEqual([])
    const again = world.browser()
    expect(await again.signIn('mara-holt')).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('a deletion of the user themselves', () => {
  test('L-11 that was under way when the user was blocked is refused: it would free the person to sign in again', async () => {
    const person = await world.signedIn('yuki-ito')
    const { id } = await rowOf('yuki-ito')
    expect(await isSignedIn(person)).toBe(true)
    // The instance still remembers the session, as a request that was let in before.
    await world.db().update(users).set({ blockedAt: new Date() }).where(eq(users.id, id))
    const { deleteViewer } = await person.api('delete-viewer', { input: { login: 'yuki-ito' } })
    expect(deleteViewer).toMatchObject({ deletion: null, userErrors: [{ code: 'USER_BLOCKED' }] })
    expect(await world.browser().signIn('yuki-ito')).toMatchObject({ outcome: 'failed', code: 'USER_BLOCKED' })
    expect((await rowOf('yuki-ito')).id).toBe(id)
    const admin = await operatorToken(['admin:write'])
    await act(admin, 'unblockUser', 'user { id }', { userId: id })
  })
})

test.each([
  'user(userId: "a\\u0000") { id }',
  'users(githubLogin: "a\\u0000") { nodes { id } }',
  'users(xUsername: "@\\u0000") { nodes { id } }',
  'accounts(userId: "\\u0000") { nodes { id } }',
  'accounts(xUsername: "\\u0000") { nodes { id } }',
  'account(accountId: "\\u0000") { id }',
  'tweet(userId: "\\u0000", tweetId: "\\u0000") { id }',
  'tweets(userId: "x") { nodes { id } }',
])('text that no row can have finds nothing: %s', async (field) => {
  const admin = await operatorToken(['admin:read'])
  const { data, errors } = await ask(admin, `{ admin { found: ${field} } }`)
  expect(errors).toBeUndefined()
  expect(data.admin.found?.nodes ?? []).toEqual([])
})
