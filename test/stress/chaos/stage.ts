// A sandbox in this process, and gateways in their own processes on a given database.
import { type KeyRing, randomToken } from '../../../src/crypto.ts'
import { type Sandbox, startSandbox } from '../../../src/sandbox/server.ts'
import { generousLimits } from '../../support/generous-limits.ts'
import { makeTemporaryDirectory } from '../../support/temporary-directory.ts'
import type { Pace } from './fast-timing.ts'
import { createFleet, type Fleet } from './fleet.ts'
import type { Randomness } from './randomness.ts'

export type Stage = {
  sandbox: Sandbox
  fleet: Fleet
  pace: Pace
  random: Randomness
  /** The encryption keys of the gateways. */
  keys: KeyRing
  /** Secrets that no log may contain. */
  secrets: string[]
  publicUrl: string
  [Symbol.asyncDispose](): Promise<void>
}

export type StageOptions = { processes: number; pace: Pace; random: Randomness }

// X's real limits are for one app and one day; a scenario posts in a minute what would take days.
const NO_LIMIT = 1e9
const GITHUB_SECRET = 'chaos-github-secret'
const X_SECRET = 'chaos-x-secret'

/** Sets the stage, without starting its gateways. @param database null for an embedded one. */
export async function openStage(options: StageOptions, database: { url: string } | null): Promise<Stage> {
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('chaos')).path
  const key = Buffer.from(randomToken(32), 'base64url')
  const sandbox = await startSandbox({
    hostname: 'localhost',
    replay: 'end-grant',
    random: options.random.next,
    githubClient: { id: 'chaos-github', secret: GITHUB_SECRET, redirectUris: [] },
    xClient: { id: 'chaos-x', secret: X_SECRET, redirectUris: [] },
  })
  resources.defer(() => sandbox.close())
  sandbox.control.setAccessTokenSeconds(options.pace.accessTokenSeconds)
  sandbox.control.setRefusesDuplicates(false)
  for (const limit of ['post-tweet', 'posts-per-day', 'user-tweets', 'read-tweets', 'users-me'] as const)
    sandbox.control.setRateLimit(limit, NO_LIMIT)
  const fleet = resources.use(
    await createFleet({
      processes: options.processes,
      directory,
      timing: options.pace.timing,
      environment: (publicUrl) => ({
        PUBLIC_URL: publicUrl,
        DATA_DIR: `${directory}/data`,
        ...(database && { DATABASE_URL: database.url }),
        ENCRYPTION_KEYS: `chaos:${key.toString('base64')}`,
        SANDBOX: 'off',
        GITHUB_CLIENT_ID: 'chaos-github',
        GITHUB_CLIENT_SECRET: GITHUB_SECRET,
        GITHUB_URL: sandbox.url,
        GITHUB_API_URL: sandbox.url,
        X_CLIENT_ID: 'chaos-x',
        X_CLIENT_SECRET: X_SECRET,
        X_URL: sandbox.url,
        X_API_URL: sandbox.url,
        LOG_LEVEL: 'debug',
        RATE_LIMITS: generousLimits,
        WEBHOOK_EGRESS: 'loopback',
      }),
    }),
  )
  const publicUrl = fleet.slots[0]?.url ?? ''
  for (const provider of ['github', 'x']) sandbox.control.registerRedirectUri(`${publicUrl}/auth/${provider}/callback`)
  const kept = resources.move()
  return {
    sandbox,
    fleet,
    pace: options.pace,
    random: options.random,
    keys: [{ id: 'chaos', secret: key }],
    secrets: [GITHUB_SECRET, X_SECRET, key.toString('base64')],
    publicUrl,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
