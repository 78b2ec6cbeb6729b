// A new encryption key replaces an old one while users post, and then the old one can be removed.
import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { resealAll } from '../../../src/accounts/reseal.ts'
import { tokenSealContext } from '../../../src/accounts/sealed-tokens.ts'
import { type KeyRing, randomToken, seal, sealedKeyId } from '../../../src/crypto.ts'
import { WrongKeysError } from '../../../src/db/startup-checks.ts'
import {
  connectAttempts,
  encryptionCanaries,
  grantRevocations,
  oauthTokens,
  orphanedTokens,
  webhookEndpoints,
} from '../../../src/db/tables.ts'
import { connectAccount, endFaults, momentIn, UNTIL_ENDED_SECONDS } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { wakeJobs } from '../../support/sweep.ts'
import { startReceiver, verify, webhooksOf } from '../../support/webhook-receiver.ts'

type Pair = typeof oauthTokens.$inferSelect

const createKey = (id: string) => ({ id, secret: Buffer.from(randomToken(32), 'base64url') })
const k1 = createKey('k1')
const k2 = createKey('k2')
const both: KeyRing = [k2, k1]

let world: World
beforeEach(async () => {
  world = await startWorld({ ENCRYPTION_KEYS: `k1:${k1.secret.toString('base64')}` })
})
afterEach(async () => {
  endFaults(world)
  await world.close()
})

/** The key id under which each token is sealed. */
async function sealedUnder(): Promise<string[]> {
  const rows = await world.db().select().from(oauthTokens)
  return rows.flatMap((row) => [row.accessTokenSealed, row.refreshTokenSealed ?? '']).map(sealedKeyId)
}

async function snapshot() {
  const db = world.db()
  return [await db.select().from(oauthTokens), await db.select().from(encryptionCanaries)]
}

/** The same sealed value with the id of an unknown key. */
function renameKey(sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64url')
  bytes.write('x9', 2)
  return bytes.toString('base64url')
}

test('E-04 rotates keys under load: no post fails, no token is lost, and the new key opens everything', async () => {
  const ACCOUNTS = 20
  const person = await world.signedIn()
  const accounts = await Promise.all(Array.from({ length: ACCOUNTS }, () => connectAccount(world, { person })))
  await world.restart({ encryptionKeys: both })
  const idle = accounts.slice(0, ACCOUNTS / 2)
  // The others refresh with every post.
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.setAccessTokenSeconds(60)
  const busy = accounts.slice(ACCOUNTS / 2)

  let rotating = true
  const post = async (account: (typeof accounts)[number]) => {
    const statuses: (string | undefined)[] = []
    do statuses.push((await account.post()).tweet?.status)
    while (rotating && statuses.length < 20)
    return statuses
  }
  const posting = Promise.all(busy.map(post))
  let passes = 0
  let retired: string[] = []
  do {
    passes += 1
    const pass = await resealAll(world.db(), both)
    expect(pass.unreadable).toBe(0)
    retired = pass.retired
  } while (retired.length === 0 && passes < 200)
  rotating = false
  expect(new Set((await posting).flat())).toEqual(new Set(['POSTED']))
  expect(retired).toEqual(['k1'])
  expect(world.logs()).not.toMatch(/"level":"(error|fatal)"/)
  expect(new Set(await sealedUnder())).toEqual(new Set(['k2']))
  expect(idle.map((account) => account.grant().rotations)).toEqual(Array(idle.length).fill(0))

  await world.restart({ encryptionKeys: [k2] })
  world.sandbox.control.setAccessTokenSeconds(7200)
  world.advance(UNTIL_ENDED_SECONDS)
  const responses = await Promise.all(accounts.map((account) => account.post()))
  expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(ACCOUNTS).fill('POSTED'))
  for (const account of accounts) expect(account.grant()).toMatchObject({ live: true, replays: 0 })
})

test('E-04 what a refresh has locked waits for the next pass, and needs the old key until then', async () => {
  const account = await connectAccount(world)
  await account.setTokens({ leaseId: crypto.randomUUID(), leaseUntil: momentIn(world, 60), sentAt: momentIn(world, 0) })
  const before = await account.tokens()
  expect(await resealAll(world.db(), both)).toEqual({
    resealed: 0,
    waiting: 1,
    waitingAttempts: 0,
    unreadable: 0,
    retired: [],
  })
  expect(await account.tokens()).toEqual(before)
  await expect(world.restart({ encryptionKeys: [k2] })).rejects.toThrow(WrongKeysError)
  await world.restart({ encryptionKeys: both })
  await account.setTokens({ leaseId: null, leaseUntil: null, sentAt: null })
  expect(await resealAll(world.db(), both)).toEqual({
    resealed: 1,
    waiting: 0,
    waitingAttempts: 0,
    unreadable: 0,
    retired: ['k1'],
  })
  expect(await resealAll(world.db(), both)).toEqual({
    resealed: 0,
    waiting: 0,
    waitingAttempts: 0,
    unreadable: 0,
    retired: [],
  })
})

test('E-05 does not start with the new key alone before all is sealed under it, and changes nothing', async () => {
  const account = await connectAccount(world)
  const before = await snapshot()
  await expect(world.restart({ encryptionKeys: [k2] })).rejects.toThrow(WrongKeysError)
  // Nor with another key under the old one's name.
  await expect(world.restart({ encryptionKeys: [createKey('k1')] })).rejects.toThrow(WrongKeysError)
  await world.restart({ encryptionKeys: [k1] })
  expect(await snapshot()).toEqual(before)
  await world.restart({ encryptionKeys: both })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  await expect(world.restart({ encryptionKeys: [k2] })).rejects.toThrow(WrongKeysError)
  await world.restart({ encryptionKeys: both })
  expect((await resealAll(world.db(), both)).retired).toEqual(['k1'])
  // Nor does the old key alone, from there on.
  await expect(world.restart({ encryptionKeys: [k1] })).rejects.toThrow(WrongKeysError)
  await world.restart({ encryptionKeys: [k2] })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test('E-04 includes orphaned tokens, revocations and connect attempts', async () => {
  const account = await connectAccount(world)
  const disconnected = await connectAccount(world)
  world.sandbox.control.inject({
    kind: 'problem',
    name: 'temporarily-unavailable',
    times: null,
    match: { path: '/2/oauth2/revoke' },
  })
  await disconnected.disconnect()
  await vi.waitFor(() => expect(world.sandbox.control.faults()[0]?.hits).toBeGreaterThan(0), { timeout: 10_000 })
  const { authorizationUrl } = await account.person.startXConnect({ reconnectAccountId: account.id })
  // A killed lease holder, and the tokens that it got.
  const owner = { accountId: account.id, userId: account.userId }
  const { accessToken, refreshToken } = account.grant()
  await account.setTokens({
    accessTokenSealed: seal([k1], tokenSealContext(owner, 'accessTokenSealed'), 'an older one'),
    refreshTokenSealed: seal([k1], tokenSealContext(owner, 'refreshTokenSealed'), 'an older one'),
    accessExpiresAt: momentIn(world, -60),
    state: 'UNCERTAIN',
    cause: 'LEASE_EXPIRED',
  })
  await world
    .db()
    .insert(orphanedTokens)
    .values({
      ...owner,
      fromVersion: 1,
      fencingToken: 1,
      accessTokenSealed: seal([k1], tokenSealContext(owner, 'accessTokenSealed'), accessToken ?? ''),
      refreshTokenSealed: seal([k1], tokenSealContext(owner, 'refreshTokenSealed'), refreshToken ?? ''),
      accessExpiresAt: momentIn(world, 3600),
      createdAt: momentIn(world, 0),
    })

  await world.restart({ encryptionKeys: both })
  // The attempt's verifier is not resealed: in ten minutes it is used or expired.
  expect(await resealAll(world.db(), both)).toEqual({
    resealed: 3,
    waiting: 1,
    waitingAttempts: 1,
    unreadable: 0,
    retired: [],
  })
  const callback = await account.person.consent(authorizationUrl ?? '', account.username)
  expect(await account.person.finish(callback)).toMatchObject({ outcome: 'connected' })
  await account.person.startXConnect()
  await world
    .db()
    .update(connectAttempts)
    .set({ expiresAt: new Date(Date.now() - 1000) })
  expect(await resealAll(world.db(), both)).toMatchObject({ waiting: 0, retired: ['k1'] })

  await world.restart({ encryptionKeys: [k2] })
  endFaults(world)
  await world.db().execute(sql`update pgboss.job set start_after = now() where name = 'revoke-grant'`)
  await wakeJobs(world)
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  await vi.waitFor(async () => expect(await world.db().select().from(grantRevocations)).toEqual([]), {
    timeout: 30_000,
  })
  expect(disconnected.grant()).toMatchObject({ ended: 'revoked-by-app' })
})

test('E-04 reseals both signing secrets of a webhook, and they stay valid', async () => {
  const receiver = await startReceiver()
  try {
    await world.close()
    world = await startWorld({
      ENCRYPTION_KEYS: `k1:${k1.secret.toString('base64')}`,
      WEBHOOK_EGRESS: 'loopback',
    })
    const webhooks = webhooksOf(await world.signedIn())
    const { id, secret } = await webhooks.create({ url: receiver.url })
    const { secret: newer } = await webhooks.rotate(id)
    const altered = await webhooks.create({ url: `${receiver.url}/altered` })
    const endpoints = await world.db().select().from(webhookEndpoints)
    const [other] = endpoints.filter((endpoint) => endpoint.id === id)
    await world
      .db()
      .update(webhookEndpoints)
      .set({ secretSealed: other?.secretSealed ?? '' })
      .where(eq(webhookEndpoints.id, altered.id))
    await world.restart({ encryptionKeys: both })
    expect(await resealAll(world.db(), both)).toEqual({
      resealed: 1,
      waiting: 0,
      waitingAttempts: 0,
      unreadable: 1,
      retired: ['k1'],
    })
    await world.restart({ encryptionKeys: [k2] })
    await webhooks.test(id)
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), { timeout: 30_000 })
    const [request] = receiver.received
    for (const each of [secret, newer ?? ''])
      expect(request && verify(world, each, request)).toMatchObject({ type: 'webhook.test' })
    // A secret that cannot be opened is replaced by a rotation.
    const { secret: replaced } = await webhooks.rotate(altered.id)
    await webhooks.test(altered.id)
    await vi.waitFor(() => expect(receiver.received).toHaveLength(2), { timeout: 30_000 })
    const last = receiver.received[1]
    expect(last && verify(world, replaced ?? '', last)).toMatchObject({ type: 'webhook.test' })
  } finally {
    await receiver.close()
  }
})

test.each([
  ['one token', (tokens: Pair) => tokens.refreshTokenSealed ?? ''],
  ['one token, in the name of its key,', (tokens: Pair) => renameKey(tokens.accessTokenSealed)],
])('%s that was altered in the database does not keep the old key in use', async (_, alter) => {
  const altered = await connectAccount(world)
  const account = await connectAccount(world)
  const tokens = await altered.tokens()
  if (tokens === null) throw new Error('There are no tokens')
  await altered.setTokens({ accessTokenSealed: alter(tokens) })
  expect(await resealAll(world.db(), both)).toEqual({
    resealed: 2,
    waiting: 0,
    waitingAttempts: 0,
    unreadable: 1,
    retired: ['k1'],
  })
  expect(await altered.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'TOKENS_UNREADABLE' })
  await world.restart({ encryptionKeys: [k2] })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(await account.person.connect(altered.username)).toMatchObject({ outcome: 'connected' })
  expect((await altered.post()).tweet).toMatchObject({ status: 'POSTED' })
})
