// X's users/me fails once while a user connects. The gateway of this world repeats the request for
// as long as a busy machine may need.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAccount } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { atMe, waitingAttempts } from '../../support/waiting-attempt.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, { ...impatient, interactiveRetrySeconds: 60 })
})
afterAll(() => world.close())

const { countMe, reconnect } = waitingAttempts(() => world)

test('the request for the profile of an account is repeated while its user waits', async () => {
  const account = await connectAccount(world)
  const calls = countMe()
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable', times: 1 }))
  expect(arrival).toMatchObject({ outcome: 'connected', code: null })
  expect(countMe() - calls).toBe(2)
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
})
