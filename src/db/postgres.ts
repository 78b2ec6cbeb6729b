// postgres.js, repaired as it is loaded. Its 3.4.9 forgets in some places that a connection can be lost. A statement, or its own
// ROLLBACK, is then written to a socket that is null, from a timer where nobody can catch it, or its own first query fails where nobody
// does: the process ends. A timer that was cancelled is taken for one that will fire: the connection never sends a byte again. The rest
// of a transaction runs on the next connection, each statement for itself. (github.com/porsager/postgres, issues 1154 and 1208, open.)
//
// It also takes any response to COMMIT for success. A server whose transaction has failed answers COMMIT with the command tag
// ROLLBACK, and keeps nothing. The driver sends COMMIT as a named statement and repeats it when the server does not know that name,
// as behind a pooler in transaction mode: the first try fails the transaction, the second is answered by ROLLBACK. So COMMIT goes as a
// simple query, which has no name, and every transaction is judged by its tag.
// Import the driver from here alone: whoever loads it first gets it unrepaired, and so does everybody after.
import { registerHooks } from 'node:module'
import { Socket } from 'node:net'
import type { ChannelBinding } from './channel-binding.ts'
import { COMMIT_ROLLED_BACK, COMMIT_ROLLED_BACK_SENTENCE } from './commit.ts'

type Repair = { text: string; by: string; times: number }

/** What `connection.ts` adds to the options of the driver. */
export type DriverExtras = {
  /** Statements to run on each new connection before anything else; empty for none. */
  onOpen: string
  /** What follows `begin` in the same message, beginning with a semicolon; empty for nothing. */
  onBegin: string
  /** Whether a server that asks for no proof bound to the channel is refused. */
  mustBind: boolean
  /** Chooses the SASL mechanism. @throws Error when none of those offered will do. */
  bindChannel(socket: Socket, mechanisms: readonly string[]): ChannelBinding
}

const EXTRAS = '{ onOpen: "", onBegin: "", mustBind: false, bindChannel: null }'

const REPAIRS: Record<string, readonly Repair[]> = {
  '/postgres/src/connection.js': [
    {
      text: '\n    clearImmediate(nextWriteTimer)\n',
      by: '\n    clearImmediate(nextWriteTimer)\n    chunk = nextWriteTimer = null\n',
      times: 2,
    },
    {
      text: 'const x = socket.write(chunk, fn)',
      by: `if (socket === null) {
      chunk = nextWriteTimer = null
      return error(Errors.connection('CONNECTION_CLOSED', options, socket)), false
    }
    const x = socket.write(chunk, fn)`,
      times: 1,
    },
    // The connection of a transaction is known even where the socket's buffer is full, or nothing is to be sent ahead.
    {
      text: `return write(toBuffer(q))
        && !q.describeFirst
        && !q.cursorFn
        && sent.length < max_pipeline
        && (!q.options.onexecute || q.options.onexecute(connection))`,
      by: `const written = write(toBuffer(q))
      if (q.options.onexecute)
        return q.options.onexecute(connection), false
      return written
        && !q.describeFirst
        && !q.cursorFn
        && sent.length < max_pipeline`,
      times: 1,
    },
    // What a server, or a pooler, says before it closes a connection is why it does. A ROLLBACK that was written between the error and
    // the end of a connection is given up with it: the next connection would wait for its response, and take no query any more. A
    // connection that is closed before its first query is sent fails that query; the driver would connect again at once, without end.
    {
      text: `    if (initial)
      return reconnect()

    !hadError && (query || sent.length) && error(Errors.connection('CONNECTION_CLOSED', options, socket))
`,
      by: `    const reason = isFatal(errorResponse) ? errorResponse : Errors.connection('CONNECTION_CLOSED', options, socket)
    if (query || initial || sent.length)
      error(reason)
    query = errorResponse = null
`,
      times: 1,
    },
    {
      text: "onclose(connection, Errors.connection('CONNECTION_CLOSED', options, socket))",
      by: 'onclose(connection, reason)',
      times: 1,
    },
    {
      text: '    errored(err)\n    while (sent.length)\n',
      by: `    // The response to this query says more than the end of the connection that followed it.
    if (query && errorResponse)
      queryError(query, errorResponse)
    if (isFatal(errorResponse))
      err = errorResponse
    errored(err)
    while (sent.length)
`,
      times: 1,
    },
    {
      text: '  function errored(err) {\n',
      by: `  function isFatal(response) {
    return response !== null && /^(FATAL|PANIC)$/.test(response.severity || response.severity_local)
  }

  function errored(err) {
`,
      times: 1,
    },
    { text: 'return fetchArrayTypes()', by: 'return fetchArrayTypes().catch(() => (needsTypes = true))', times: 1 },
    // Settings for a session, where a pooler takes none of them as a parameter of the connection.
    {
      text: '\n    , needsTypes = options.fetch_types\n',
      by: '\n    , needsTypes = options.fetch_types\n    , needsSetup = false, binding = null, isBound = false\n',
      times: 1,
    },
    {
      text: '\n      needsTypes = options.fetch_types\n',
      by: `
      needsTypes = options.fetch_types
      needsSetup = options.extras.onOpen !== ''
      binding = null
      isBound = false
      // Whatever was written to the connection before this one is lost with it. The first response would be taken for its own, and
      // with a ROLLBACK that waits behind it this connection would take no query any more.
      query && queryError(query, Errors.connection('CONNECTION_CLOSED', options, socket))
      while (sent.length)
        queryError(sent.shift(), Errors.connection('CONNECTION_CLOSED', options, socket))
      query = errorResponse = null
`,
      times: 1,
    },
    {
      text: '\n      if (needsTypes) {\n',
      by: `
      if (needsSetup) {
        needsSetup = false
        const own = socket
        return new Query([options.extras.onOpen], [], execute, null, { simple: true }).catch(() => own.destroy())
      }

      if (needsTypes) {
`,
      times: 1,
    },
    // Channel binding.
    {
      text: 'async function Authentication(x, type = x.readUInt32BE(5)) {\n',
      by: `async function Authentication(x, type = x.readUInt32BE(5)) {
    if (options.extras.mustBind && (type === 3 || type === 5 || (type === 0 && !isBound)))
      return refuseServer(new Error('the server asks for no channel binding, which channel_binding=require asks for'));
`,
      times: 1,
    },
    {
      text: '  async function SASL() {\n',
      by: `  function refuseServer(error) {
    errored(error)
    socket.destroy()
  }

  async function SASL(x) {
    try {
      binding = options.extras.bindChannel
        ? options.extras.bindChannel(socket, x.toString('utf8', 9).split(b.N))
        : { mechanism: 'SCRAM-SHA-256', header: 'n,,', data: 'biws' }
    } catch (error) {
      return refuseServer(error)
    }
`,
      times: 1,
    },
    { text: "b().p().str('SCRAM-SHA-256' + b.N)", by: 'b().p().str(binding.mechanism + b.N)', times: 1 },
    { text: ".str('n,,n=*,r=' + nonce)", by: ".str(binding.header + 'n=*,r=' + nonce)", times: 1 },
    { text: "+ ',c=biws,r=' + res.r", by: "+ ',c=' + binding.data + ',r=' + res.r", times: 1 },
    {
      text: "const payload = 'c=biws,r=' + res.r",
      by: "const payload = 'c=' + binding.data + ',r=' + res.r",
      times: 1,
    },
    {
      text: ' serverSignature)\n      return\n',
      by: ` serverSignature)
      return isBound = binding.mechanism.endsWith('-PLUS')
`,
      times: 1,
    },
    {
      text: '\n    final && (final(), final = null)\n',
      by: `
    final && (final(), final = null)
    if (result.command === 'ROLLBACK' && query && !/\\b(?:rollback|abort)\\b/i.test(query.string))
      errorResponse = Errors.generic('${COMMIT_ROLLED_BACK}', '${COMMIT_ROLLED_BACK_SENTENCE}')
`,
      times: 1,
    },
  ],
  '/postgres/src/index.js': [
    {
      text: 'new Promise((_, reject) => connection.onclose = reject)',
      by: 'new Promise((_, reject) => connection.onclose = error => (lost = error, reject(error)))',
      times: 1,
    },
    {
      text: "await sql.unsafe('begin ' + options.replace(/[^a-z ]/ig, ''),",
      by: "await sql.unsafe('begin ' + options.replace(/[^a-z ]/ig, '') + sql.options.extras.onBegin,",
      times: 1,
    },
    {
      text: '    socket          : o.socket,',
      by: `    socket          : o.socket,\n    extras          : o.extras ?? ${EXTRAS},`,
      times: 1,
    },
    { text: 'await sql`commit`', by: "await sql.unsafe('commit')", times: 1 },
    { text: ': sql`rollback`', by: ": sql.unsafe('rollback')", times: 1 },
    {
      text: 'let savepoints = 0\n      , connection',
      by: 'let savepoints = 0\n      , lost\n      , connection',
      times: 1,
    },
    {
      text: 'q.catch(e => uncaughtError || (uncaughtError = e))',
      by: 'q.catch(e => uncaughtError || (uncaughtError = e))\n        if (lost) return q.reject(lost)',
      times: 1,
    },
  ],
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const repairs = Object.entries(REPAIRS).find(([file]) => url.endsWith(file))?.[1]
    return repairs === undefined ? loaded : { ...loaded, source: repairs.reduce(apply, String(loaded.source)) }
  },
})

/** The driver. */
export const { default: postgres } = await import('postgres')
/** Drizzle on that driver. */
export const { drizzle: drizzlePostgres } = await import('drizzle-orm/postgres-js')

/** A socket that fails with this error. The driver loses a connection for good whose socket could not be had at all. */
export function failingSocket(error: unknown): Socket {
  const socket = new Socket()
  // Once the driver listens.
  setImmediate(() => socket.destroy(error instanceof Error ? error : new Error('failed')))
  return socket
}

function apply(source: string, { text, by, times }: Repair): string {
  const found = source.split(text).length - 1
  // Another release of the driver: see whether it still needs the repair.
  if (found !== times)
    throw new Error(`Bug: postgres.js has "${text}" ${found} times, not ${times}; see src/db/postgres.ts`)
  return source.replaceAll(text, by)
}
