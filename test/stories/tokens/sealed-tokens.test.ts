// Stored tokens that were altered in the database: no crash, no use, and the user is told.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encryptionCanaries } from '../../../src/db/tables.ts'
import { type ConnectedAccount, connectAccount, UNTIL_ENDED_SECONDS, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

// 0x01 | length | "test" | salt (16) | nonce (12) | ciphertext | tag (16)
const PLACES = {
  version: 0,
  salt: 6,
  'end of the salt': 21,
  nonce: 22,
  ciphertext: 34,
  'middle of the ciphertext': 60,
  tag: -16,
  'end of the tag': -1,
}

function flipBit(sealed: string, at: number): string {
  const bytes = Buffer.from(sealed, 'base64url')
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = (bytes[index] ?? 0) ^ 0x10
  return bytes.toString('base64url')
}

async function expectRefused(account: ConnectedAccount): Promise<void> {
  const x = watchX(world)
  expect(await account.post()).toMatchObject({
    tweet: { status: 'FAILED', xTweetId: null },
    userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH', retryable: false }],
  })
  expect([x.refreshes(), x.posts()]).toEqual([0, 0])
  expect(await account.show()).toMatchObject({
    status: 'NEEDS_REAUTH',
    statusReason: 'TOKENS_UNREADABLE',
    nextAction: 'RECONNECT',
  })
}

test.each(Object.entries(PLACES))('E-02 a flipped bit in an access token: %s', async (_, at) => {
  const account = await connectAccount(world)
  const tokens = await account.tokens()
  await account.setTokens({ accessTokenSealed: flipBit(tokens?.accessTokenSealed ?? '', at) })
  await expectRefused(account)
})

test.each(Object.entries(PLACES))('E-02 a flipped bit in a refresh token: %s', async (_, at) => {
  const account = await connectAccount(world)
  const tokens = await account.tokens()
  await account.setTokens({ refreshTokenSealed: flipBit(tokens?.refreshTokenSealed ?? '', at) })
  // The access token is intact and stays in use.
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  world.advance(UNTIL_ENDED_SECONDS)
  await expectRefused(account)
  expect(await account.tokens()).toMatchObject({ leaseId: null, sentAt: null })
})

describe('E-02 a sealed token cannot be opened', () => {
  test('in another account of the same user', async () => {
    const [account, other] = [await connectAccount(world), await connectAccount(world)]
    await account.setTokens({ accessTokenSealed: (await other.tokens())?.accessTokenSealed ?? '' })
    await expectRefused(account)
    expect((await other.post()).tweet).toMatchObject({ status: 'POSTED' })
  })

  test("in another user's account, with its refresh token and all", async () => {
    const account = await connectAccount(world)
    const victim = await connectAccount(world, { person: await world.signedIn('tomasz-k') })
    const stolen = await victim.tokens()
    await account.setTokens({
      accessTokenSealed: stolen?.accessTokenSealed ?? '',
      refreshTokenSealed: stolen?.refreshTokenSealed ?? '',
      grantId: stolen?.grantId ?? '',
    })
    await expectRefused(account)
  })

  test('in the other column', async () => {
    const account = await connectAccount(world)
    const tokens = await account.tokens()
    await account.setTokens({ accessTokenSealed: tokens?.refreshTokenSealed ?? '' })
    await expectRefused(account)
    const swapped = await connectAccount(world)
    await swapped.setTokens({ refreshTokenSealed: (await swapped.tokens())?.accessTokenSealed ?? '' })
    world.advance(UNTIL_ENDED_SECONDS)
    await expectRefused(swapped)
  })
})

test.each([
  ['nothing', ''],
  ['one byte', 'AQ'],
  ['a version and no more', 'AQR0ZXN0'],
  ['no base64url', '?!'],
  ['another spelling of base64', 'AQR0ZXN0+/=='],
  ['text', 'a token in the clear'],
  ['a megabyte', 'A'.repeat(1_000_000)],
])('E-02 instead of a sealed token: %s', async (_, sealed) => {
  const account = await connectAccount(world)
  await account.setTokens({ accessTokenSealed: sealed })
  await expectRefused(account)
})

test('connecting the account again replaces tokens that cannot be opened', async () => {
  const account = await connectAccount(world)
  await account.setTokens({ accessTokenSealed: 'junk', refreshTokenSealed: 'junk' })
  await expectRefused(account)
  expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test.each([
  ['text', 3],
  ['no text of any database', 2],
])('E-02 a token that names a key which never sealed here concerns its user alone: %s', async (_, at) => {
  const account = await connectAccount(world)
  const bytes = Buffer.from((await account.tokens())?.accessTokenSealed ?? '', 'base64url')
  bytes[at] = at === 3 ? 0x75 : 0x00
  await account.setTokens({ accessTokenSealed: bytes.toString('base64url') })
  await expectRefused(account)
  expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test('E-02 so does a refresh token that names such a key', async () => {
  const account = await connectAccount(world)
  await account.setTokens({ refreshTokenSealed: flipBit((await account.tokens())?.refreshTokenSealed ?? '', 3) })
  world.advance(UNTIL_ENDED_SECONDS)
  await expectRefused(account)
  expect(await account.tokens()).toMatchObject({ leaseId: null, sentAt: null })
})

test('E-05 a token under a key that this instance lacks concerns the operator, and the account stays active', async () => {
  // As if another instance had started with a key of this name.
  await world.db().insert(encryptionCanaries).values({ keyId: 'tust', sealed: 'of another instance' })
  const account = await connectAccount(world)
  const tokens = await account.tokens()
  // The second byte of the key's id: "test" becomes "tust".
  await account.setTokens({ accessTokenSealed: flipBit(tokens?.accessTokenSealed ?? '', 3) })
  const x = watchX(world)
  await expect(account.post()).rejects.toMatchObject({
    response: { status: 503, errors: [{ extensions: { code: 'ENCRYPTION_KEY_MISSING', retry: 'LATER' } }] },
  })
  expect([x.refreshes(), x.posts()]).toEqual([0, 0])
  expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
  await account.setTokens({ accessTokenSealed: tokens?.accessTokenSealed ?? '' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  await world.db().delete(encryptionCanaries).where(eq(encryptionCanaries.keyId, 'tust'))
})
