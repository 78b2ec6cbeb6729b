// Random histories of a connection, against a small model of its expected state.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import {
  type ConnectedAccount,
  connectAccount,
  momentIn,
  refreshFault,
  spendAtX,
} from '../../support/connected-account.ts'
import {
  actAtX,
  connected,
  disconnected,
  inDoubt,
  type Model,
  type RefreshFate,
  refreshFates,
  use,
} from '../../support/connection-model.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const moments = ['at once', 'once the access token is due', 'once it has ended', 'once X rejects it'] as const

type Command =
  | { kind: 'post'; when: (typeof moments)[number]; refresh: RefreshFate }
  | { kind: 'holder dies'; spent: boolean }
  | { kind: 'user revokes' | 'disconnect' | 'reconnect' }

// Operations that cause a doubt, or happen in one, are more frequent than the others.
const post = fc.record({
  kind: fc.constant('post'),
  when: fc.constantFrom(...moments, 'at once', 'at once', 'once the access token is due', 'once it has ended'),
  refresh: fc.constantFrom(...refreshFates, 'works', 'works', 'lost before X acted', 'lost after X acted'),
})
const command: fc.Arbitrary<Command> = fc.oneof(
  { arbitrary: post, weight: 12 },
  { arbitrary: fc.record({ kind: fc.constant('holder dies'), spent: fc.boolean() }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constantFrom('user revokes', 'reconnect') }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant('disconnect') }), weight: 1 },
)

const faults: Record<RefreshFate, FaultKind | null> = {
  works: null,
  '503': { kind: 'problem', name: 'temporarily-unavailable' },
  '503 after X acted': { kind: 'problemAfter', name: 'temporarily-unavailable' },
  '429': { kind: 'problem', name: 'oauth-rate-limited' },
  'lost before X acted': { kind: 'dropBefore' },
  'lost after X acted': { kind: 'dropAfter' },
}

/**
 * Carries out an operation, and returns the expected model: unchanged if the operation makes no
 * sense.
 */
async function carryOut(account: ConnectedAccount, model: Model, command: Command): Promise<Model> {
  const { control } = world.sandbox
  switch (command.kind) {
    case 'post': {
      const fault = faults[command.refresh]
      const before = letTimePass(account, model, command.when)
      // Other stories cover the pause after a failure of X.
      await account.setTokens({ nextTryAt: null })
      if (fault !== null) control.inject(refreshFault({ ...fault, times: null }))
      const { tweet, userErrors } = await account.post()
      control.clearFaults()
      const { outcome, after } = use(before, command.refresh)
      expect(userErrors[0]?.code ?? tweet?.status).toBe(outcome)
      return after
    }
    case 'user revokes':
      control.revokeGrant(account.username)
      return { ...model, grantLives: false }
    case 'disconnect':
      await account.disconnect()
      return disconnected(model)
    case 'reconnect':
      expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
      return connected(model)
    case 'holder dies': {
      if (model.inDoubt || model.status !== 'ACTIVE') return model
      if (command.spent) await spendAtX(world, account)
      await account.setTokens({ leaseId: crypto.randomUUID(), leaseUntil: momentIn(world, -30), sentAt: new Date() })
      return inDoubt(command.spent ? actAtX(model) : model)
    }
  }
}

function letTimePass(account: ConnectedAccount, model: Model, until: (typeof moments)[number]): Model {
  if (until === 'once the access token is due' && model.accessToken === 'FRESH') {
    world.advance(7_000)
    return { ...model, accessToken: 'DUE' }
  }
  if (until === 'once it has ended' && model.accessToken !== 'ENDED') {
    world.advance(model.accessToken === 'FRESH' ? 7_300 : 300)
    return { ...model, accessToken: 'ENDED' }
  }
  if (until !== 'once X rejects it') return model
  world.sandbox.control.expireAccessToken(account.username)
  return { ...model, accessTokenRejected: true }
}

async function check(account: ConnectedAccount, model: Model): Promise<void> {
  const { control } = world.sandbox
  const { status, statusReason } = model
  expect(await account.show()).toMatchObject({ status, statusReason })
  expect(control.concurrentSends()).toBeLessThanOrEqual(1)
  expect(control.tweets(account.username)).toHaveLength(model.tweets)
  const tokens = await account.tokens()
  expect(tokens === null).toBe(status === 'DISCONNECTED')
  const grant = account.grant()
  expect(grant.replays).toBe(model.replays)
  if (tokens === null) return
  expect(grant.live).toBe(model.grantLives)
  const stored = await account.storedRefreshToken()
  if (model.grantLives) expect(stored === grant.refreshToken).toBe(!model.refreshTokenSpent)
  if (tokens.state === 'ACTIVE' && tokens.leaseId === null) expect(tokens.sentAt).toBeNull()
}

test('any history of a connection ends as the model says, and X never receives a token twice at once', async () => {
  const giveUpAt = performance.now() + 10_000
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 8, size: 'max' }), async (commands) => {
      // A slow machine runs fewer histories, and shrinks a failure for no longer than that.
      if (performance.now() > giveUpAt) return
      const account = await connectAccount(world)
      let model = connected()
      for (const command of commands) {
        model = await carryOut(account, model, command)
        await check(account, model)
      }
      // It is never stuck: its user can always connect it again.
      model = await carryOut(account, model, { kind: 'reconnect' })
      model = await carryOut(account, model, { kind: 'post', when: 'once it has ended', refresh: 'works' })
      await check(account, model)
    }),
    { numRuns: 40 },
  )
})
