// A connected account changes at X: its name passes to another account, or its subscription begins.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

type Attempt = { status: string; error: { code: string; message: string } | null }
const messageOf = async (person: Browser, id: string | null) => {
  const { connectAttempt } = await person.api<{ connectAttempt: Attempt }>('connect-attempt', { connectAttemptId: id })
  expect(connectAttempt).toMatchObject({ status: 'FAILED', error: { code: 'WRONG_ACCOUNT' } })
  return connectAttempt.error?.message ?? ''
}

describe('L-02 an account that was renamed at X', () => {
  test('is recognised by its id when its earlier name is expected', async () => {
    const account = await connectAccount(world)
    const renamed = `${account.username}_new`
    world.sandbox.control.renameAccount(account.username, renamed)
    expect(await account.person.connect(renamed, { expectedUsername: account.username })).toMatchObject({
      outcome: 'connected',
    })
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', username: renamed })
    const both = { expectedUsername: account.username, reconnectAccountId: account.id }
    expect(await account.person.connect(renamed, both)).toMatchObject({ outcome: 'connected' })
  })

  test('is not confused with the account that has its name now', async () => {
    const account = await connectAccount(world)
    const { username, person } = account
    world.sandbox.control.renameAccount(username, `${username}_new`)
    world.sandbox.control.addAccount(username)
    for (const input of [
      { expectedUsername: username },
      { reconnectAccountId: account.id },
      { expectedUsername: username, reconnectAccountId: account.id },
    ]) {
      const arrival = await person.connect(username, input)
      expect(arrival).toMatchObject({ outcome: 'failed', code: 'WRONG_ACCOUNT' })
      expect(await messageOf(person, arrival.attempt)).toContain(`@${username}`)
    }
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', username })
    // Without an expected name the other account may be connected.
    expect(await person.connect(username)).toMatchObject({ outcome: 'connected' })
  })

  test('is not found by a name that its user has given up', async () => {
    const account = await connectAccount(world)
    const { username, person } = account
    await account.disconnect()
    world.sandbox.control.renameAccount(username, `${username}_new`)
    world.sandbox.control.addAccount(username)
    expect(await person.connect(username, { expectedUsername: username })).toMatchObject({ outcome: 'connected' })
  })
})

test.each(['expectedUsername', 'reconnectAccountId'])(
  'a wrong account by %s is named beside the expected one',
  async (how) => {
    const [wanted, other] = [await connectAccount(world), 'somebody_else']
    if (how === 'expectedUsername') world.sandbox.control.addAccount(other)
    const input = how === 'expectedUsername' ? { expectedUsername: wanted.username } : { reconnectAccountId: wanted.id }
    const arrival = await wanted.person.connect(other, input)
    const message = await messageOf(wanted.person, arrival.attempt)
    for (const name of [wanted.username, other]) expect(message).toContain(`@${name}`)
  },
)

test('keeps the Premium limit of the last connection, and reads it again when the user connects again', async () => {
  const account = await connectAccount(world)
  const text = 'x'.repeat(300)
  world.sandbox.control.setAccount(account.username, { subscriptionType: 'Premium' })
  const { userErrors } = await account.post(text)
  expect(userErrors).toMatchObject([{ code: 'TEXT_TOO_LONG' }])
  expect(userErrors[0]?.message).toMatch(/last connected.*connect it again/)
  await account.person.connect(account.username, { reconnectAccountId: account.id })
  expect(await account.post(text)).toMatchObject({ tweet: { status: 'POSTED' } })
})
