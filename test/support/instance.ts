// A further instance of the gateway on a world's database, without a port or background work: all
// its queries belong to its requests, so that they can be counted.
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import { createApp } from '../../src/app.ts'
import { type Caller, currentCaller } from '../../src/db/caller.ts'
import { connectPostgres } from '../../src/db/connection.ts'
import { listenForNotifications } from '../../src/db/listen.ts'
import { drizzlePostgres } from '../../src/db/postgres.ts'
import * as tables from '../../src/db/tables.ts'
import { createDeps } from '../../src/deps.ts'
import { notifyOfEvents } from '../../src/events/notify.ts'
import { createWebhookEgress } from '../../src/outbound/webhook-egress.ts'
import { createEventNotifier } from '../../src/process/event-notifier.ts'
import { createLog } from '../../src/telemetry/log.ts'
import type { World } from './harness.ts'
import { logStatement } from './statements/statement-log.ts'

export type Instance = ReturnType<typeof openInstance>

export type ApiResponse = {
  status: number
  challenge: string | null
  /** The body as text. */
  text: string
  data: Record<string, unknown> | null
  errors: { message: string; extensions: { code: string; missingScopes?: string[] } }[]
}

/** A statement with its parameters as the driver got them. */
export type SentStatement = { text: string; params: unknown[] }

/** Opens an instance that keeps who is asking in memory, because notifications tell it of changes. */
export async function openListeningInstance(world: World): Promise<Instance> {
  const instance = openInstance(world)
  const { listeners, onLost } = instance.deps.viewers
  const stop = await listenForNotifications(world.database(), listeners, onLost)
  return {
    ...instance,
    close: async () => {
      await stop()
      await instance.close()
    },
  }
}

export function openInstance(world: World) {
  const queries: string[] = []
  const callers: (Caller & { text: string })[] = []
  const sent: SentStatement[] = []
  const lines: string[] = []
  const { source } = world.database()
  const options = {
    schema: tables,
    casing: 'snake_case',
    logger: {
      logQuery: (text: string, params: unknown[]) => {
        queries.push(text)
        callers.push({ ...currentCaller(), text })
        sent.push({ text, params })
        logStatement(text)
      },
    },
  } as const
  const pool =
    source.kind === 'postgres'
      ? connectPostgres(source, { applicationName: 'instance', route: 'pooled', max: 4 })
      : null
  const db =
    source.kind === 'pglite'
      ? drizzlePglite(source.client, options)
      : drizzlePostgres(pool as NonNullable<typeof pool>, options)
  const log = createLog('debug', { write: (line) => lines.push(line) })
  const deps = createDeps({
    db,
    config: world.config,
    clock: world.clock,
    log,
    jobs: {
      enqueue: async () => {
        throw new Error('This instance has no background work')
      },
      deleteAllOf: async () => {},
      expectDeliveries: () => {},
    },
    webhookEgress: createWebhookEgress({ policy: 'PUBLIC', deadlineSeconds: 5, resolveHost: async () => [] }),
    eventNotifier: createEventNotifier(log, (userIds) => notifyOfEvents(db, userIds)),
  })
  const app = createApp(deps)

  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    return app.fetch(new Request(`${world.url}${path}`, init))
  }

  /** Sends a document with these headers, and returns the parsed response. */
  async function ask(query: string, headers: Record<string, string> = {}, variables = {}): Promise<ApiResponse> {
    const response = await request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...headers },
      body: JSON.stringify({ query, variables }),
    })
    const text = await response.text()
    const { data = null, errors = [] } = JSON.parse(text)
    return { status: response.status, challenge: response.headers.get('www-authenticate'), text, data, errors }
  }

  /** Returns the callers for whom this instance sends queries during `work`, with the queries. */
  async function callersOf(work: () => Promise<unknown>) {
    const before = callers.length
    await work()
    return callers.slice(before)
  }

  /** Returns the queries that this instance sends during `work`. */
  async function queriesOf(work: () => Promise<unknown>): Promise<string[]> {
    const before = queries.length
    await work()
    return queries.slice(before)
  }

  /** Like `queriesOf`, with the parameters. */
  async function statementsOf(work: () => Promise<unknown>): Promise<SentStatement[]> {
    const before = sent.length
    await work()
    return sent.slice(before)
  }

  return {
    deps,
    request,
    ask,
    queriesOf,
    callersOf,
    statementsOf,
    logs: () => lines.join(''),
    close: async () => void (await pool?.end()),
  }
}

/** Returns the Authorization header of a token. */
export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
