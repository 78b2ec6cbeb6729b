import { eq, sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { oauthTokens, sessions, userIdentities, userLogins, users } from '../../src/db/tables.ts'
import { type Browser, cookieOf, openBrowser } from '../support/browser.ts'
import type { PostedTweet } from '../support/connected-account.ts'
import { gives, poll, readPosition, readWholeOrder } from '../support/event-followers.ts'
import { readPage } from '../support/event-reader.ts'
import { openStream } from '../support/event-stream.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'
import { startReceiver, webhooksOf } from '../support/webhook-receiver.ts'

/**
 * Starts this number of gateways on one database and one sandbox, all at once, as a deployment
 * does.
 */
async function startGateways(resources: AsyncDisposableStack, count: number) {
  const ports = []
  for (let number = 0; number < count; number++) ports.push(await findFreePort())
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const [publicUrl = ''] = urls
  const { sandbox, connectionString, environment } = await createSandboxSite(resources, publicUrl)
  const gateways = ports.map((port) =>
    startGatewayProcess({
      ...environment,
      RATE_LIMITS: generousLimits,
      WEBHOOK_EGRESS: 'loopback',
      PORT: String(port),
    }),
  )
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))
  /** Opens a browser at one of them, with the cookies of another browser. */
  const openAt = (index: number, cookies: Iterable<[string, string]> = []) => {
    const opened = openBrowser(urls[index] ?? '')
    resources.defer(() => opened.close())
    for (const [name, value] of cookies) opened.cookies.set(name, value)
    return opened
  }
  return { connectionString, sandbox, gateways, urls, openAt }
}

async function post(person: Browser, input: Record<string, unknown>): Promise<PostedTweet> {
  return (await person.api('post-tweet', { input })).postTweet
}

test('50 posts over two gateways with one expired token: one refresh, 50 responses, 50 tweets', async () => {
  await using resources = new AsyncDisposableStack()
  const { connectionString, sandbox, gateways, openAt } = await startGateways(resources, 2)

  const first = openAt(0)
  await first.signIn('mara-holt')
  expect(await first.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  // The session is in the database, so the cookie is valid at the other gateway too.
  const second = openAt(1, first.cookies)
  expect(await second.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })

  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const [row] = await opened.db
    .update(oauthTokens)
    .set({ accessExpiresAt: sql`clock_timestamp() - interval '1 minute'` })
    .returning()
  sandbox.control.expireAccessToken('maraholt')
  sandbox.control.inject({
    kind: 'delayAfter',
    milliseconds: 500,
    match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } },
  })

  const responses = await Promise.all(
    Array.from({ length: 50 }, (_, number) => post(number % 2 === 0 ? first : second, { text: `Number ${number}` })),
  )
  expect(responses.map(({ tweet, userErrors }) => tweet?.status ?? userErrors[0]?.code)).toEqual(
    Array(50).fill('POSTED'),
  )
  expect(sandbox.control.countTokenCalls('refresh_token')).toBe(1)
  expect(sandbox.control.concurrentSends()).toBe(1)
  expect(sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(50)
  expect(new Set(sandbox.control.tweets('maraholt').map(({ text }) => text)).size).toBe(50)
  expect(sandbox.control.grants('maraholt')).toMatchObject([{ live: true, rotations: 1, replays: 0 }])
  const tokens = opened.db
    .select()
    .from(oauthTokens)
    .where(eq(oauthTokens.accountId, row?.accountId ?? ''))
  expect(await tokens).toMatchObject([{ version: 2, state: 'ACTIVE', leaseId: null, sentAt: null }])

  expect(await Promise.all(gateways.map((gateway) => gateway.stop()))).toEqual([0, 0])
})

test('I-01 100 equal posts with one key over three gateways are one tweet, with 100 equal responses', async () => {
  await using resources = new AsyncDisposableStack()
  const { sandbox, openAt } = await startGateways(resources, 3)
  const first = openAt(0)
  await first.signIn('mara-holt')
  expect(await first.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  const people = [first, openAt(1, first.cookies), openAt(2, first.cookies)]
  // All must arrive before the outcome is known.
  sandbox.control.inject({ kind: 'delayAfter', milliseconds: 2_000, match: { method: 'POST', path: '/2/tweets' } })
  const input = { text: 'Once', idempotencyKey: 'at all of them' }
  const responses = await Promise.all(
    Array.from({ length: 100 }, (_, number) => post(people[number % 3] ?? first, input)),
  )
  expect(responses[0]).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  expect(responses).toEqual(Array(100).fill(responses[0]))
  expect(sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(1)
  expect(sandbox.control.tweets('maraholt')).toHaveLength(1)
})

test('many first sign-ins of one person at once, over two gateways, make one user', async () => {
  await using resources = new AsyncDisposableStack()
  const { connectionString, openAt } = await startGateways(resources, 2)
  const people = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      const person = openAt(number % 2)
      const start = await person.request('/auth/github')
      const callback = new URL(await person.consent(start.headers.get('location') ?? '', 'mara-holt'))
      // GitHub sends everybody to PUBLIC_URL, behind which a load balancer chooses.
      return { person, callback: `${callback.pathname}${callback.search}` }
    }),
  )
  const arrivals = await Promise.all(people.map(({ person, callback }) => person.finish(callback)))
  expect(arrivals.map(({ outcome }) => outcome)).toEqual(Array(20).fill('succeeded'))
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const [user, ...others] = await opened.db.select().from(users).where(eq(users.login, 'mara-holt'))
  expect(others).toEqual([])
  expect(await opened.db.select().from(userIdentities)).toEqual([{ githubId: user?.githubId, userId: user?.id }])
  expect(await opened.db.select().from(userLogins)).toEqual([{ login: 'mara-holt', userId: user?.id }])
  expect(await opened.db.$count(sessions, eq(sessions.userId, user?.id ?? ''))).toBe(20)
})

test('S-07 a session revoked at one gateway is rejected at the other from the next request, and its stream ends within 30 s', async () => {
  await using resources = new AsyncDisposableStack()
  const { urls, openAt } = await startGateways(resources, 2)
  const [person, lost] = [openAt(0), openAt(0)]
  await person.signIn('mara-holt')
  await lost.signIn('mara-holt')
  const elsewhere = openAt(1, lost.cookies)
  expect(await elsewhere.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  const streams = [await openStream(urls[0] ?? '', cookieOf(lost)), await openStream(urls[1] ?? '', cookieOf(lost))]
  const kept = await openStream(urls[1] ?? '', cookieOf(person))
  const { sessions } = await lost.api('sessions')
  const id = sessions.find(({ current }) => current)?.id
  const revokedAt = performance.now()
  expect(await person.api('revoke-session', { input: { sessionId: id } })).toMatchObject({
    revokeSession: { session: { id } },
  })
  expect(await elsewhere.api('viewer')).toEqual({ viewer: null })
  expect(await lost.api('viewer')).toEqual({ viewer: null })
  for (const stream of streams) expect((await stream.ended).codes).toEqual(['UNAUTHENTICATED'])
  expect(performance.now() - revokedAt).toBeLessThan(30_000)
  // Ended by the other's revocation, not by its own.
  await vi.waitFor(() => expect(kept.types()).toContain('SESSION_ENDED'), 30_000)
  await kept.hangUp()
})

test('12 writers at two gateways on 5 users: who polls, streams or receives gets each event once, in order', {
  timeout: 240_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const { connectionString, sandbox, urls, openAt } = await startGateways(resources, 2)
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const receiver = await startReceiver()
  resources.defer(() => receiver.close())
  let done = false
  const follow = async (login: string) => {
    sandbox.control.addGithubPerson(login)
    const first = openAt(0)
    await first.signIn(login)
    const at = [first, openAt(1, first.cookies)] as const
    const { viewer } = await first.api<{ viewer: { id: string } }>('viewer')
    const endpoint = await webhooksOf(first).create({ url: `${receiver.url}/${login}` })
    const cursor = (await readPage(first, { last: 1 })).pageInfo.endCursor
    const position = await readPosition(opened.db, viewer.id)
    const streams = []
    for (const url of urls) streams.push(await openStream(url, cookieOf(first), { after: cursor }))
    let turn = 0
    const polled = poll(
      (page) => readPage(at[turn++ % 2 === 0 ? 0 : 1], page),
      cursor,
      () => done,
    )
    return { login, at, userId: viewer.id, endpoint, position, streams, polled }
  }
  const people = await Promise.all(['one', 'two', 'three', 'four', 'five'].map(follow))
  const write = async (writer: number) => {
    for (let round = 0; round < 4; round++) {
      const { at, endpoint } = people[(writer + round) % people.length] ?? expect.fail()
      const person = at[(writer + round) % 2 === 0 ? 0 : 1]
      const visibility = (writer + round) % 3 === 0 ? 'INTEGRATORS' : 'NOBODY'
      if (round % 2 === 0) await webhooksOf(person).test(endpoint.id)
      else await person.api('set-link-visibility', { input: { visibility } })
    }
  }
  await Promise.all(Array.from({ length: 12 }, (_, writer) => write(writer)))
  done = true
  for (const { login, userId, position, streams, polled } of people) {
    const ids = await readWholeOrder(opened.db, userId, position)
    expect(ids.length).toBeGreaterThan(3)
    expect(await polled).toEqual(ids)
    for (const stream of streams) await gives(() => stream.edges.map(({ node }) => node.id), ids)
    const received = () =>
      receiver.received
        .filter(({ path }) => path.endsWith(`/${login}`))
        .map(({ headers }) => headers['webhook-id'] ?? '')
        .toSorted()
    await gives(received, ids.toSorted())
    for (const stream of streams) await stream.hangUp()
  }
})
