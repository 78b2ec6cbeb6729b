// A gateway without a port, on an embedded database in memory: a request costs a few milliseconds,
// and nothing leaves the machine.
import { createApp } from '../../../src/app.ts'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { startSession } from '../../../src/auth/session.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { productionTiming } from '../../../src/config/timing.ts'
import { openPglite } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import { apiScopes, users } from '../../../src/db/tables.ts'
import { createDeps } from '../../../src/deps.ts'
import { createCircuitBreakers } from '../../../src/outbound/circuit-breakers.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createEventNotifier } from '../../../src/process/event-notifier.ts'
import { createEventStreams } from '../../../src/process/event-streams.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { startFakeProviders } from './provider-responses.ts'

export type FuzzGateway = Awaited<ReturnType<typeof openFuzzGateway>>

const ENCRYPTION_KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index * 7)).toString('base64')
const CLIENT_SECRETS = ['github-secret-that-nobody-may-see', 'x-secret-that-nobody-may-see']

/** Opens a gateway with a signed-in user who has an API token of every scope. */
export async function openFuzzGateway() {
  const database = await openPglite(null)
  await migrateDatabase(database)
  const providers = await startFakeProviders()
  const [githubSecret = '', xSecret = ''] = CLIENT_SECRETS
  const config = parseConfig({
    SANDBOX: 'off',
    RATE_LIMITS: 'off',
    ENCRYPTION_KEYS: `fuzz:${ENCRYPTION_KEY}`,
    GITHUB_CLIENT_ID: 'github-client',
    GITHUB_CLIENT_SECRET: githubSecret,
    X_CLIENT_ID: 'x-client',
    X_CLIENT_SECRET: xSecret,
    ...Object.fromEntries(['GITHUB_URL', 'GITHUB_API_URL', 'X_URL', 'X_API_URL'].map((name) => [name, providers.url])),
  })
  const errors: string[] = []
  const log = createLog('error', { write: (line) => errors.push(line) })
  const breakers = () => createCircuitBreakers(log, () => new Date())
  const deps = createDeps({
    db: database.db,
    config,
    log,
    // Without retries: they would take seconds for each of thousands of inputs.
    timing: { ...productionTiming, interactiveRetrySeconds: 0 },
    // One input's failures of a provider must not open a circuit breaker for the next.
    circuitBreakers: {
      get X_REFRESH() {
        return breakers().X_REFRESH
      },
      get X_POST() {
        return breakers().X_POST
      },
      isOpen: () => false,
    },
    // Background jobs are not under test.
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress: createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 1, resolveHost: async () => [] }),
    // Nothing listens.
    eventNotifier: createEventNotifier(log, async () => {}),
    // Streams end at once, so that their responses can be read to the end.
    eventStreams: createEventStreams(0.01),
  })
  const app = createApp(deps)
  const [user] = await deps.db.insert(users).values({ githubId: 1, login: 'fuzzed' }).returning()
  if (user === undefined) throw new Error('Bug: a row that is inserted is returned')
  const owner = { userId: user.id }
  const { secret } = await createApiToken(deps, owner, { name: 'a program', scopes: apiScopes, expiresInDays: null })
  const secrets = new Set([secret, ENCRYPTION_KEY, ...CLIENT_SECRETS])
  const signIn = async () => {
    const { setCookie } = await startSession(deps, owner.userId, null)
    const cookie = setCookie.split(';', 1)[0] ?? ''
    secrets.add(cookie.slice(cookie.indexOf('=') + 1))
    return cookie
  }
  let cookie = await signIn()
  const cookieName = cookie.slice(0, cookie.indexOf('=') + 1)
  return {
    deps,
    /** Headers that identify the caller. */
    askers: {
      nobody: () => ({}),
      session: () => ({ cookie, 'sec-fetch-site': 'same-origin' }),
      token: () => ({ authorization: `Bearer ${secret}` }),
    },
    /** Secrets that no response may contain. */
    secrets,
    /** Returns the log lines of internal errors since the last call. */
    takeErrors: () => errors.splice(0),
    /** Sends a request as it arrives from the network. */
    async request(path: string, init: RequestInit = {}): Promise<Response> {
      const response = await app.fetch(new Request(`${config.publicUrl}${path}`, init))
      // An input may have ended the session; the next one gets a new one.
      if (response.headers.getSetCookie().some((header) => header.startsWith(cookieName))) cookie = await signIn()
      return response
    },
    providers,
    close: async () => {
      await providers.close()
      await database.close()
    },
  }
}
