// Hiding accounts of which an operator has many copies of events. No statement of the request grows
// with their number, and no copy is read or sent afterwards.
import { eq, sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { events, hiddenCopies, OPERATOR_ID, webhookDeliveries, webhookTurns } from '../../../src/db/tables.ts'
import { COPIES_DELETED_AT_ONCE } from '../../../src/events/operator-copies.ts'
import { MAX_EXAMINED_EVENTS } from '../../../src/events/page-statement.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import { connectAccount } from '../../support/connected-account.ts'
import type { EventPage } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'
import { countRowsRead } from '../../support/rows-read.ts'
import { runTask, wakeJobs } from '../../support/sweep.ts'
import { untilDeleted, untilNoRows } from '../../support/user-deletion.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import { countWrittenRows } from '../../support/written-rows.ts'

const COPIES = 2 * COPIES_DELETED_AT_ONCE + 50

/** Makes an endpoint of the operator, and returns its id. */
async function createEndpoint(world: World, url: string): Promise<string> {
  const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })
  const deps = { db: world.db(), clock: world.clock, config: world.config, webhookEgress }
  const { endpoint } = await createWebhookEndpoint(deps, OPERATOR_ID, { url, description: null, types: null })
  await webhookEgress.close()
  return endpoint.id
}

/** Inserts copies of events of a user, each with a delivery that is due in an hour. */
async function addCopies(
  world: World,
  { userId, id }: { userId: string; id: string },
  endpointId: string,
): Promise<void> {
  const run = (text: ReturnType<typeof sql>) => world.db().execute(text)
  await run(sql`insert into event_positions (user_id, position) values (${OPERATOR_ID}, ${COPIES} + 10)
    on conflict (user_id) do update set position = excluded.position`)
  await run(sql`insert into events (user_id, id, position, type, subject_user_id, account_id, occurred_at)
    select ${OPERATOR_ID}, gen_random_uuid(), n + 10, 'account.reconnected', ${userId}, ${id}, now()
    from generate_series(1, ${COPIES}::int) n`)
  await run(sql`insert into webhook_deliveries (user_id, id, endpoint_id, event_id, next_attempt_at, created_at)
    select user_id, gen_random_uuid(), ${endpointId}, id, now() + interval '1 hour', occurred_at from events
    where subject_user_id = ${userId}`)
}

test('many copies are hidden at once, deleted in batches, and never sent', async () => {
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  const receiver = await startReceiver()
  const instance = openInstance(world)
  onTestFinished(async () => {
    await instance.close()
    await world.close()
    await receiver.close()
  })
  const account = await connectAccount(world)
  const show = (visibility: 'NOBODY' | 'INTEGRATORS') =>
    account.person.api('set-link-visibility', { input: { visibility } })
  await show('INTEGRATORS')
  const token = await createApiToken(
    { db: world.db(), clock: world.clock },
    { userId: OPERATOR_ID },
    { name: 'monitor', scopes: ['events:read'], expiresInDays: 1 },
  )
  await addCopies(world, account, await createEndpoint(world, receiver.url))
  const read = async (variables: Record<string, unknown> = {}) => {
    const response = await instance.ask(readOperation('events'), bearer(token.secret), variables)
    if (response.data === null) throw new Error(response.text)
    return (response.data.events as EventPage).edges.map(({ node }) => node)
  }
  const copies = () => world.db().select().from(events).where(eq(events.subjectUserId, account.userId))
  const first = await read()
  expect(first.length).toBeGreaterThan(0)

  const readWritten = await countWrittenRows(world)
  await show('NOBODY')
  const written = (await readWritten()).filter(({ table }) => table === 'events' || table === 'webhook_deliveries')
  expect(Math.max(...written.map(({ rows }) => rows))).toBe(COPIES_DELETED_AT_ONCE)
  expect(await copies()).toHaveLength(COPIES - COPIES_DELETED_AT_ONCE)
  expect(await read()).toEqual([])
  expect(await read({ types: ['ACCOUNT_RECONNECTED'] })).toEqual([])
  const [left] = await copies()
  const node = await instance.ask('query ($id: ID!) { node(id: $id) { id } }', bearer(token.secret), { id: left?.id })
  expect(node.data).toEqual({ node: null })
  // The turn claims the delivery of a hidden copy, and does not send it.
  const isHidden = eq(webhookDeliveries.eventId, left?.id ?? '')
  const early = sql`${world.clock.sqlNow()} - interval '1 second'`
  await world.db().update(webhookDeliveries).set({ nextAttemptAt: early }).where(isHidden)
  await world.db().insert(webhookTurns).values({ userId: OPERATOR_ID, promptAt: early })
  await wakeJobs(world)
  const attempted = () => world.db().select().from(webhookDeliveries).where(isHidden)
  await vi.waitFor(async () => expect(await attempted()).toMatchObject([{ attempts: 1 }]), { timeout: 30_000 })

  // Events of the time in which the accounts are shown again are no hidden copies.
  await show('INTEGRATORS')
  await account.person.connect(account.username)
  expect(await read()).toMatchObject([{ type: 'ACCOUNT_RECONNECTED', accountId: account.id }])

  expect(await runTask(world, 'sweepHiddenCopies')).toBe('completed')
  expect(await copies()).toHaveLength(1)
  expect(await world.db().select().from(hiddenCopies)).toEqual([])
  const deliveries = await world.db().select().from(webhookDeliveries).where(eq(webhookDeliveries.userId, OPERATOR_ID))
  expect(deliveries.map(({ eventId }) => eventId)).toEqual((await copies()).map(({ id }) => id))
  expect(await read()).toMatchObject([{ type: 'ACCOUNT_RECONNECTED', accountId: account.id }])
  await vi.waitFor(() => expect(receiver.received).not.toEqual([]), { timeout: 30_000 })
  const sent = receiver.received.map(({ headers }) => headers['webhook-id'])
  expect(sent).toEqual((await copies()).map(({ id }) => id))
})

test('the deletion of a user deletes the copies that they have hidden', async () => {
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  onTestFinished(() => world.close())
  const account = await connectAccount(world)
  const show = (visibility: 'NOBODY' | 'INTEGRATORS') =>
    account.person.api('set-link-visibility', { input: { visibility } })
  await show('INTEGRATORS')
  await addCopies(world, account, await createEndpoint(world, 'http://127.0.0.1:9'))
  await show('NOBODY')
  expect(await world.db().select().from(hiddenCopies)).toMatchObject([{ subjectUserId: account.userId }])
  const { deleteViewer } = await account.person.api('delete-viewer', { input: { login: 'mara-holt' } })
  await untilDeleted(world, deleteViewer.deletion?.id ?? '')
  await untilNoRows(world, account.userId)
  expect(await world.db().select().from(hiddenCopies)).toEqual([])
})

test('G-31 a list of few types of the operator passes over a thousand hidden copies at most, and continues behind them', async () => {
  const HIDDEN = 2_500
  const LOOKS = 10
  const world = await startWorld()
  const instance = openInstance(world)
  onTestFinished(async () => {
    await instance.close()
    await world.close()
  })
  const account = await connectAccount(world)
  const run = (text: ReturnType<typeof sql>) => world.db().execute(text)
  const made = { name: 'monitor', scopes: ['events:read'], expiresInDays: 1 }
  const { secret } = await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, made)
  await run(sql`insert into event_positions (user_id, position) values (${OPERATOR_ID}, ${HIDDEN} + 100)
    on conflict (user_id) do update set position = excluded.position`)
  // Two types in turns. The last two events are of another user, and not hidden.
  await run(sql`insert into events (user_id, id, position, type, subject_user_id, account_id, occurred_at)
    select ${OPERATOR_ID}, gen_random_uuid(), n + 10, case when n % 2 = 0 then 'account.reconnected' else 'account.connected' end,
      case when n > ${HIDDEN} then gen_random_uuid() else ${account.userId}::uuid end, ${account.id}, now()
    from generate_series(1, ${HIDDEN}::int + 2) n`)
  await run(
    sql`insert into hidden_copies (user_id, subject_user_id, position) values (${OPERATOR_ID}, ${account.userId}, ${HIDDEN} + 10)`,
  )
  await run(sql`analyze events`)

  const readAll = async (types: string) => {
    const seen: string[] = []
    let after: string | null = null
    for (let pages = 1; ; pages++) {
      let page: EventPage | undefined
      const statements = await instance.statementsOf(async () => {
        const { data, errors } = await instance.ask(
          `query ($after: String) { events(first: 1, types: [${types}], after: $after) {
            edges { cursor node { type } } pageInfo { hasNextPage endCursor } } }`,
          bearer(secret),
          { after },
        )
        expect(errors).toEqual([])
        page = data?.events as EventPage
      })
      const rows = await countRowsRead(
        world,
        'events',
        statements.filter(({ text }) => text.includes('from "events"')),
      )
      expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_EVENTS + LOOKS)
      seen.push(...(page?.edges ?? []).map(({ node }) => node.type))
      after = page?.pageInfo.endCursor ?? null
      if (!page?.pageInfo.hasNextPage) return { seen, pages }
    }
  }
  const one = await readAll('ACCOUNT_RECONNECTED')
  expect(one.seen).toEqual(['ACCOUNT_RECONNECTED'])
  expect(one.pages).toBeGreaterThan(1)
  expect((await readAll('ACCOUNT_RECONNECTED, ACCOUNT_CONNECTED')).seen).toEqual([
    'ACCOUNT_CONNECTED',
    'ACCOUNT_RECONNECTED',
  ])
})
