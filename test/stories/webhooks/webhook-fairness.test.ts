// Receivers that are slow or never respond, floods of events, and what others get meanwhile.
import { count, eq, isNotNull, sum } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { webhookDeliveries, webhookEndpoints } from '../../../src/db/tables.ts'
import { LANE_CAPACITY, USER_CAPACITY } from '../../../src/jobs/webhook-loop.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { record } from '../../support/recorded-events.ts'
import { startReceiver, tryDue, webhooksOf } from '../../support/webhook-receiver.ts'

test('receivers of one user that never respond occupy two workers, and do not delay the deliveries of other users', async () => {
  // Longer than the test takes, so that none of them is given up meanwhile.
  const world = await startWorld({ WEBHOOK_EGRESS: 'loopback' }, { callDeadlineSeconds: 50 })
  const hanging = await startReceiver()
  const well = await startReceiver()
  try {
    hanging.respondWith(null)
    const stuck = webhooksOf(await world.signedIn())
    const { id } = await stuck.create({ url: hanging.url })
    for (let number = 0; number < 6; number++) await stuck.test(id)
    await vi.waitFor(() => expect(hanging.received).toHaveLength(2), { timeout: 30_000 })
    const other = webhooksOf(await world.signedIn('tomasz-k'))
    const endpoint = await other.create({ url: well.url })
    for (const number of [1, 2, 3]) {
      await other.test(endpoint.id)
      await vi.waitFor(() => expect(well.received).toHaveLength(number), { timeout: 30_000 })
    }
    expect(hanging.received).toHaveLength(2)
    expect((await stuck.deliveries(id)).map(({ attempts }) => attempts).toSorted()).toEqual([0, 0, 0, 0, 1, 1])
  } finally {
    await hanging.close()
    await well.close()
    await world.close()
  }
})

// Longer than a receiver of these tests needs on a busy machine.
const PROMPT_SECONDS = 5

const userIdOf = async (person: Browser) => (await person.api<{ viewer: { id: string } }>('viewer')).viewer.id

/** Records so many events of a user, and tells the gateway of them. */
async function flood(world: World, userId: string, count: number): Promise<void> {
  await record(world, ...Array(count).fill({ type: 'account.profile_changed' as const, userId }))
  await tryDue(world)
}

test('W-05 floods of ten users whose receivers never respond let the webhooks of another user pass, each after none of theirs', async () => {
  const PEOPLE = 10
  const FLOOD = 100
  const WEBHOOKS = 5
  // Longer than the test takes, so that none of them is given up meanwhile.
  const world = await startWorld(
    { WEBHOOK_EGRESS: 'loopback' },
    { callDeadlineSeconds: 50, webhookPromptSeconds: PROMPT_SECONDS },
  )
  const tarpit = await startReceiver()
  const well = await startReceiver()
  try {
    tarpit.respondWith(null)
    const neighbour = webhooksOf(await world.signedIn())
    const { id } = await neighbour.create({ url: well.url })
    const greedy = []
    for (let number = 0; number < PEOPLE; number++) {
      world.sandbox.control.addGithubPerson(`greedy-${number}`)
      const person = await world.signedIn(`greedy-${number}`)
      await webhooksOf(person).create({ url: `${tarpit.url}/${number}` })
      greedy.push(await userIdOf(person))
    }
    for (const userId of greedy) await flood(world, userId, FLOOD)
    // Before any of them is known to be slow.
    await neighbour.test(id)
    await vi.waitFor(() => expect(well.received).toHaveLength(1), { timeout: 30_000 })
    expect(tarpit.received.length).toBeLessThanOrEqual(PEOPLE * USER_CAPACITY)

    // Each has taken its workers, and lost them to the slow lane.
    const slow = () => world.db().$count(webhookEndpoints, isNotNull(webhookEndpoints.slowUntil))
    await vi.waitFor(async () => expect(await slow()).toBe(PEOPLE), { timeout: 30_000 })
    const countAttempts = async () => {
      const [row] = await world
        .db()
        .select({ attempts: sum(webhookDeliveries.attempts).mapWith(Number), deliveries: count() })
        .from(webhookDeliveries)
      return { attempts: row?.attempts ?? 0, deliveries: row?.deliveries ?? 0 }
    }
    const before = await countAttempts()
    for (let number = 1; number <= WEBHOOKS; number++) {
      await neighbour.test(id)
      await vi.waitFor(() => expect(well.received).toHaveLength(1 + number), { timeout: 30_000 })
    }
    // The attempts of the others meanwhile: none, as when they are quiet.
    await vi.waitFor(
      async () =>
        expect(await neighbour.deliveries(id)).toMatchObject(Array(1 + WEBHOOKS).fill({ status: 'DELIVERED' })),
      { timeout: 30_000 },
    )
    const after = await countAttempts()
    expect(after.deliveries - before.deliveries).toBe(WEBHOOKS)
    expect(after.attempts - before.attempts).toBe(WEBHOOKS)
    // They have what moved from the prompt lane, and wait for the workers of the slow one.
    expect(tarpit.received.length).toBeLessThanOrEqual(LANE_CAPACITY.SLOW + PEOPLE * USER_CAPACITY)
  } finally {
    await tarpit.close()
    await well.close()
    await world.close()
  }
})

test('W-04 a flood to one endpoint, and a receiver there that never responds, do not hold up the other endpoint of the same user', async () => {
  const world = await startWorld(
    { WEBHOOK_EGRESS: 'loopback' },
    { callDeadlineSeconds: 50, webhookPromptSeconds: PROMPT_SECONDS },
  )
  const busy = await startReceiver()
  const other = await startReceiver()
  try {
    const person = await world.signedIn()
    const webhooks = webhooksOf(person)
    const flooded = await webhooks.create({ url: busy.url, types: ['ACCOUNT_PROFILE_CHANGED'] })
    const quiet = await webhooks.create({ url: other.url, types: ['WEBHOOK_DISABLED'] })
    const FLOOD = 300
    await flood(world, await userIdOf(person), FLOOD)
    await vi.waitFor(() => expect(busy.received.length).toBeGreaterThan(0), { timeout: 30_000 })
    await webhooks.test(quiet.id)
    await vi.waitFor(() => expect(other.received).toHaveLength(1), { timeout: 30_000 })
    expect(busy.received.length).toBeLessThan(FLOOD)
    const rowsOf = (endpointId: string) =>
      world.db().select().from(webhookDeliveries).where(eq(webhookDeliveries.endpointId, endpointId))
    const [only] = await rowsOf(quiet.id)
    const between = (await rowsOf(flooded.id)).filter(
      ({ lastAttemptAt }) =>
        lastAttemptAt !== null && lastAttemptAt > (only?.createdAt ?? 0) && lastAttemptAt < (only?.lastAttemptAt ?? 0),
    )
    expect(between.length).toBeLessThanOrEqual(2 * USER_CAPACITY)

    busy.respondWith(null)
    await vi.waitFor(async () => expect((await webhooks.show(flooded.id))?.slowUntil).toEqual(expect.any(String)), {
      timeout: 30_000,
    })
    const hanging = busy.received.length
    for (const number of [2, 3, 4]) {
      await webhooks.test(quiet.id)
      await vi.waitFor(() => expect(other.received).toHaveLength(number), { timeout: 30_000 })
    }
    expect(busy.received.length - hanging).toBeLessThanOrEqual(USER_CAPACITY)
  } finally {
    await busy.close()
    await other.close()
    await world.close()
  }
})
