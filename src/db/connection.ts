// Opens every connection to PostgreSQL, so that the address and the pooler are treated alike
// everywhere.
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
   * `direct` bypasses a pooler in transaction mode and keeps its session: for LISTEN and
   * session-level locks. `pooled` is for everything else.
   */
  route: 'direct' | 'pooled'
  /** The maximum number of connections. */
  max: number
  /** Closes a connection that is idle for so long; absent: never. */
  idleSeconds?: number
  /** Settings in addition to those of session-settings.ts, or in their place. */
  settings?: Readonly<Record<string, string>>
  /** Returns the seconds to wait before a lost connection is opened again. */
  backoff?: (tries: number) => number
  types?: Record<string, PostgresType>
  /** For a connection that listens, which is kept as long as the server keeps it. */
  listening?: { onNotify(channel: string, payload: string): void; onClose(): void }
}

// Above the number of different statements of this code. The server keeps a plan for each, some tens
// of kilobytes. Lists of parameters have many lengths, so a bound is needed.
const NAMED_STATEMENTS = 200
// A host that accepted writes is assumed to be the primary for so long.
const PRIMARY_TRUSTED_MILLISECONDS = 30_000

/** Creates a client, which connects at its first query. */
export function connectPostgres(config: PostgresConfig, options: ConnectionOptions): Sql {
  const isShared = config.pooler === 'transaction' && options.route === 'pooled'
  const address = options.route === 'direct' ? (config.direct ?? config.address) : config.address
  const settings = { ...sessionSettings, ...options.settings }
  return open(address, createDialer(address), options, {
    // A pooler in transaction mode shares sessions: settings are made in each transaction, or by
    // the pooler.
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
  { applicationName, max, idleSeconds, backoff, types, listening }: Omit<ConnectionOptions, 'route' | 'settings'>,
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
    namedStatements: NAMED_STATEMENTS,
    mustBind: address.channelBinding === 'require',
    bindChannel: (socket, mechanisms) => bindChannel(address.channelBinding, socket, mechanisms),
  }
  // `socket` and `extras` are not in the driver's own types.
  const driverOptions: Options<Record<string, PostgresType>> & Record<string, unknown> = {
    // For the driver's messages only: `socket` connects.
    host: address.hosts[0].host,
    port: address.hosts[0].port,
    ...(address.user !== null && { user: address.user }),
    ...(address.password !== null && { password: address.password }),
    ...(address.database !== null && { database: address.database }),
    ssl: false,
    socket: () => dial().catch(failingSocket),
    connect_timeout: address.connectTimeoutSeconds,
    max,
    // Named statements belong to a session. With pipelined queries, the pooler would give the
    // server connection to another client after the first response.
    ...(isShared && { prepare: false, max_pipeline: 0 }),
    ...(idleSeconds !== undefined && { idle_timeout: idleSeconds }),
    ...(backoff !== undefined && { backoff }),
    ...(types !== undefined && { types }),
    ...(listening !== undefined && {
      onnotify: listening.onNotify,
      onclose: listening.onClose,
      max_lifetime: null,
      fetch_types: false,
    }),
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

/**
 * Returns a function that opens a socket at the first usable host; of several, unless configured
 * otherwise, at one that accepts writes.
 */
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
