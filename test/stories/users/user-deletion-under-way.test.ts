// While a deletion is under way: who has access, what still acts for the user, and what requests that
// run beside it get.
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { tweets, users } from '../../../src/db/tables.ts'
import { setLinkVisibility } from '../../../src/users/link-visibility.ts'
import { cookieOf, isSignedIn } from '../../support/browser.ts'
import {
  connectAccount,
  endFaults,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { runTask } from '../../support/sweep.ts'
import { countRows, untilDeleted, untilNoRows } from '../../support/user-deletion.ts'
import { webhooksOf } from '../../support/webhook-receiver.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

/** Requests the deletion of a person, and returns its id. */
async function leave(person: Awaited<ReturnType<World['signedIn']>>, login: string): Promise<string> {
  const { deleteViewer } = await person.api('delete-viewer', { input: { login } })
  expect(deleteViewer).toMatchObject({ deletion: { status: 'DELETING' }, userErrors: [] })
  return deleteViewer.deletion?.id ?? ''
}

describe('L-09 a deletion whose job is lost', () => {
  test('has ended all access, leaves the person free to start again, and is ended by the maintenance', async () => {
    const account = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
    const { person, userId } = account
    const [elsewhere, secret] = [await world.signedIn('yuki-ito'), await account.makeToken(['tweets:read'])]
    await person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
    const stream = await openStream(world.url, cookieOf(elsewhere))
    expect(stream.status).toBe(200)
    await world.db().execute(sql`create function lose_job() returns trigger language plpgsql as
      $$ begin if new.name = 'delete-user' then return null; end if; return new; end $$`)
    await world
      .db()
      .execute(sql`create trigger lose_job before insert on pgboss.job_common for each row execute function lose_job()`)
    const deletionId = await leave(person, 'yuki-ito')
    await world.db().execute(sql`drop function lose_job cascade`)

    expect(await countRows(world, userId)).toMatchObject({ users: 1, sessions: 2, api_tokens: 1 })
    expect(await isSignedIn(elsewhere)).toBe(false)
    const asked = await world.browser().request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: JSON.stringify({ query: '{ tweets { totalCount } }' }),
    })
    expect(asked.status).toBe(401)
    expect((await stream.ended).codes).toEqual(['UNAUTHENTICATED'])
    const [marked] = await world.db().select().from(users).where(eq(users.id, userId))
    expect(marked).toMatchObject({ deletionId, linkVisibility: 'NOBODY' })

    // The same person is a new user, and connects the same account.
    const again = await world.signedIn('yuki-ito')
    const { viewer } = await again.query<{ viewer: { id: string } }>('{ viewer { id } }')
    expect(viewer.id).not.toBe(userId)
    expect(await again.connect(account.username)).toMatchObject({ outcome: 'connected' })

    expect(await runTask(world, 'replaceLostJobs')).toBe('completed')
    await untilDeleted(world, deletionId)
    await untilNoRows(world, userId)
    const { connectedAccounts } = await again.api('connected-accounts', {})
    expect(connectedAccounts).toMatchObject([{ username: account.username, status: 'ACTIVE' }])
    expect(account.grant()).toMatchObject({ live: true })
  })

  test('is forgotten a week after its end', async () => {
    const deletionId = await leave(await world.signedIn('tomasz-k'), 'tomasz-k')
    await untilDeleted(world, deletionId)
    const find = async () => (await world.browser().api('user-deletion', { userDeletionId: deletionId })).userDeletion
    world.advance(6 * 86_400)
    await runTask(world, 'sweepUserDeletions')
    expect(await find()).toMatchObject({ status: 'DELETED' })
    world.advance(2 * 86_400)
    await runTask(world, 'sweepUserDeletions')
    expect(await find()).toBe(null)
    for (const userDeletionId of ['', 'no-uuid', '\u0000', crypto.randomUUID()])
      expect((await world.browser().api('user-deletion', { userDeletionId })).userDeletion).toBe(null)
  })
})

describe('L-09 for a user who is being deleted', () => {
  test('no token is refreshed and no tweet is sent', async () => {
    const account = await connectAccount(world)
    const mark = (deletionId: string | null) =>
      world.db().update(users).set({ deletionId }).where(eq(users.id, account.userId))
    world.advance(UNTIL_ENDED_SECONDS)
    const person = await world.signedIn()
    const x = watchX(world)
    // The refresh of a post is under way when the deletion is requested.
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 1_000 }))
    const input = { text: 'Too late', accountId: account.id }
    const posting = person.api('post-tweet', { input })
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    await mark(crypto.randomUUID())
    expect((await posting).postTweet).toMatchObject({ userErrors: [{ code: 'POST_INTERRUPTED' }] })
    expect(x.posts()).toBe(0)
    expect(await world.db().select().from(tweets)).toMatchObject([{ status: 'FAILED', sentAt: null }])

    await account.setTokens({ refreshIssuedAt: new Date(0), accessExpiresAt: new Date(0) })
    await runTask(world, 'refreshIdleAccounts')
    expect(x.refreshes()).toBe(1)
    await mark(null)
    await runTask(world, 'refreshIdleAccounts')
    expect(x.refreshes()).toBe(2)
  })

  test('a request that was let in before does not show the accounts again', async () => {
    const { userId } = await connectAccount(world)
    const instance = openInstance(world)
    const show = () => setLinkVisibility(instance.deps, userId, 'INTEGRATORS')
    await world.db().update(users).set({ deletionId: crypto.randomUUID() }).where(eq(users.id, userId))
    await expect(show()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    const [marked] = await world.db().select().from(users).where(eq(users.id, userId))
    expect(marked).toMatchObject({ linkVisibility: 'NOBODY' })
    await world.db().delete(users).where(eq(users.id, userId))
    await expect(show()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await instance.close()
  })
})

describe('L-09 beside a deletion', () => {
  test('posts, connections, webhooks, tokens and sign-ins succeed or are refused, and leave no row', async () => {
    for (let round = 0; round < 3; round++) {
      const login = `racer-${round}`
      world.sandbox.control.addGithubPerson(login)
      const account = await connectAccount(world, { person: await world.signedIn(login) })
      const { person, userId } = account
      const { id: endpointId } = await webhooksOf(person).create({ url: 'http://127.0.0.1:1/' })
      const { authorizationUrl } = await person.startXConnect()
      const callback = await person.consent(authorizationUrl ?? '', account.username)
      // Each later one is begun a little later.
      const acts = [
        () => account.post(),
        () => person.finish(callback),
        () => account.post('With a key', { idempotencyKey: 'a key' }),
        () => leave(person, login),
        () => webhooksOf(person).test(endpointId),
        () => account.makeToken(['tweets:read']),
        () => person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } }),
        () => account.disconnect(),
        () => account.post(),
        () => world.signedIn(login),
        () => runTask(world, 'replaceLostJobs'),
        () => runTask(world, 'sweepSessions'),
      ]
      const results = await Promise.allSettled(
        acts.map(async (act, index) => {
          await new Promise((resolve) => setTimeout(resolve, (index % 4) * round * 10))
          return act()
        }),
      )
      const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      for (const reason of failed)
        expect(JSON.stringify(reason.response ?? String(reason))).toMatch(/"UNAUTHENTICATED"|No API token was created/)
      await untilNoRows(world, userId)
      const next = await world.signedIn(login)
      expect(await next.connect(account.username)).toMatchObject({ outcome: 'connected' })
      await leave(next, login)
    }
    expect(world.logs()).not.toMatch(/deadlock|"level":"(error|fatal)"/)
  })
})
