// Every connection to PostgreSQL is made here: whatever the driver is asked to do, the address and the pooler mean the same to it.
import type { Options, PostgresType, Sql } from 'postgres'
import type { PostgresAddress, PostgresConfig, PostgresHost } from '../config/database-config.ts'
import { bindChannel } from './channel-binding.ts'
import { DatabaseConnectError } from './outage.ts'
import { type DriverExtras, failingSocket, postgres } from './postgres.ts'
import { parameterStatements, sessionSettings, startupParameters } from './session-settings.ts'
import { describeHost, openSocket } from './socket.ts'

export type ConnectionOptions = {
  /** As in pg_stat_activity. */
  applicationName: string
  /**
   * `direct` keeps a session for as long as the connection lives, past a pooler in transaction mode: for LISTEN, for locks that
   * outlive a transaction. `pooled` is for everything else.
   */
  route: 'direct' | 'pooled'
  /** How many connections at most. */
  max: number
  /** Seconds after which a connection that is not used is closed; null: never. */
  idleSeconds?: number
  /** Settings over those of `session-settings.ts`. */
  settings?: Readonly<Record<string, string>>
  /** Seconds before a connection that was lost is made anew. */
  backoff?: (tries: number) => number
  types?: Record<string, PostgresType>
}

// How long a host that took writes is taken to be the primary still, when another connection is made.
const PRIMARY_TRUSTED_MILLISECONDS = 30_000

/** Makes a client. Nothing is connected before its first query. */
export function connectPostgres(config: PostgresConfig, options: ConnectionOptions): Sql {
  const isShared = config.pooler === 'transaction' && options.route === 'pooled'
  const address = options.route === 'direct' ? (config.direct ?? config.address) : config.address
  const settings = { ...sessionSettings, ...options.settings }
  return open(address, createDialer(address), options, {
    // A session that others use in between keeps no settings: they are made for each transaction, or by the pooler.
    onOpen: isShared ? '' : parameterStatements(settings).join('; '),
    onBegin: isShared
      ? parameterStatements(options.settings ?? {}, 'local')
          .map((set) => `; ${set}`)
          .join('')
      : '',
    parameters: isShared ? startupParameters : {},
    isShared,
  })
}

function open(
  address: PostgresAddress,
  dial: () => ReturnType<typeof openSocket>,
  { applicationName, max, idleSeconds, backoff, types }: Omit<ConnectionOptions, 'route' | 'settings'>,
  {
    onOpen,
    onBegin,
    parameters,
    isShared,
  }: { onOpen: string; onBegin: string; parameters: Record<string, string>; isShared: boolean },
): Sql {
  const extras: DriverExtras = {
    onOpen,
    onBegin,
    mustBind: address.channelBinding === 'require',
    bindChannel: (socket, mechanisms) => bindChannel(address.channelBinding, socket, mechanisms),
  }
  // `socket` and `extras` are not in the driver's own types.
  const driverOptions: Options<Record<string, PostgresType>> & Record<string, unknown> = {
    // For its messages alone: `socket` connects.
    host: address.hosts[0].host,
    port: address.hosts[0].port,
    ...(address.user !== null && { user: address.user }),
    ...(address.password !== null && { password: address.password }),
    ...(address.database !== null && { database: address.database }),
    ssl: false,
    socket: () => dial().catch(failingSocket),
    connect_timeout: address.connectTimeoutSeconds,
    max,
    // Named statements belong to a session. Of what is sent ahead a pooler takes the first response for the end, and lends the server
    // connection to another client in the middle of the next query.
    ...(isShared && { prepare: false, max_pipeline: 0 }),
    ...(idleSeconds !== undefined && { idle_timeout: idleSeconds }),
    ...(backoff !== undefined && { backoff }),
    ...(types !== undefined && { types }),
    connection: {
      ...parameters,
      application_name: applicationName,
      ...(address.options !== null && { options: address.options }),
    },
    onnotice: () => {},
    extras,
  }
  return postgres(driverOptions)
}

/** Opens sockets at the first host that will do; of several, unless told otherwise, at one that takes writes. */
function createDialer(address: PostgresAddress): () => ReturnType<typeof openSocket> {
  const [only, ...others] = address.hosts
  if (others.length === 0) return () => openSocket(only, address)
  let current: { host: PostgresHost; until: number } | null = null
  return async () => {
    const known = current
    const hosts = [...address.hosts].sort((a, b) => Number(b === known?.host) - Number(a === known?.host))
    const refusals: string[] = []
    for (const host of hosts) {
      try {
        const isTrusted = known?.host === host && performance.now() < known.until
        if (!isTrusted && address.isWritable) await assertTakesWrites(host, address)
        const socket = await openSocket(host, address)
        if (!isTrusted) current = { host, until: performance.now() + PRIMARY_TRUSTED_MILLISECONDS }
        return socket
      } catch (error) {
        if (current?.host === host) current = null
        refusals.push(error instanceof Error ? error.message : 'failed')
      }
    }
    throw new DatabaseConnectError('None of the hosts can be used', new Error(refusals.join('; ')))
  }
}

async function assertTakesWrites(host: PostgresHost, address: PostgresAddress): Promise<void> {
  const single = { ...address, hosts: [host] as const }
  const client = open(
    single,
    () => openSocket(host, single),
    { applicationName: 'xconnect-gateway', max: 1 },
    { onOpen: '', onBegin: '', parameters: {}, isShared: false },
  )
  try {
    const [row] =
      await client`select pg_is_in_recovery() or current_setting('transaction_read_only')::bool as is_read_only`
    if (row?.is_read_only !== false) throw new Error(`${describeHost(host)}: it is read-only`)
  } finally {
    await client.end({ timeout: 1 })
  }
}
