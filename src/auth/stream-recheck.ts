// The recheck of all event streams of this process: it wakes the streams that have new events whose
// notification was lost, and those whose session or API token has ended. Three statements, however
// many streams there are.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, type SQL, sql } from 'drizzle-orm'
import { isActiveUser } from '../db/active-user.ts'
import { apiTokens, eventPositions, sessions } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { Followed } from '../process/event-streams.ts'
import { isLive as isLiveApiToken } from './api-token.ts'
import { isLiveSession } from './session-rows.ts'
import type { Viewer } from './viewer.ts'

type Credential = Followed['credential']

/** The session or API token of a viewer. */
export function credentialOf(viewer: Viewer): Credential {
  if (viewer.kind === 'SESSION') return { kind: 'SESSION', userId: viewer.user.id, id: viewer.session.id }
  return { kind: 'API_TOKEN', userId: viewer.apiToken.userId, id: viewer.apiToken.id }
}

/** Rechecks the streams every `streamRecheckSeconds`. Returns a function that stops this. */
export function startStreamRechecks(deps: Deps): () => void {
  const stopped = new AbortController()
  const pause = () => sleep(deps.timing.streamRecheckSeconds * 1000, true, { signal: stopped.signal, ref: false })
  const run = async () => {
    while (await pause().catch(() => false)) {
      await recheckStreams(deps).catch((error) =>
        deps.log.debug({ error }, 'The event streams were not rechecked; the next recheck is soon'),
      )
    }
  }
  void run()
  return () => stopped.abort()
}

/** Wakes the streams that have events to read, or have to end. */
export async function recheckStreams(deps: Deps): Promise<void> {
  const streams = deps.eventStreams.list()
  if (streams.length === 0) return
  const [positions, live] = await Promise.all([
    readPositions(
      deps,
      streams.map(({ userId }) => userId),
    ),
    listLive(
      deps,
      streams.map(({ credential }) => credential),
    ),
  ])
  for (const stream of streams) {
    // A woken stream checks its access itself, and ends.
    if (!live.has(stream.credential.id)) stream.notify()
    else stream.reach(positions.get(stream.userId) ?? 0)
  }
}

// A list is one parameter, so that the text of a statement is the same for any number of streams. It
// is parsed in a subquery, because a condition may be evaluated, with its casts, for each row.
async function readPositions({ db }: Deps, userIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await db
    .select()
    .from(eventPositions)
    .where(sql`${eventPositions.userId} in (select unnest(${arrayOf(new Set(userIds))}::text::uuid[]))`)
  return new Map(rows.map(({ userId, position }) => [userId, position]))
}

// Returns the ids of the sessions and tokens that have not ended.
async function listLive(deps: Deps, credentials: readonly Credential[]): Promise<Set<string>> {
  const { SESSION: bySession = [], API_TOKEN: byToken = [] } = Object.groupBy(credentials, ({ kind }) => kind)
  const found = await Promise.all([
    bySession.length === 0
      ? []
      : deps.db
          .select({ id: sessions.id })
          .from(sessions)
          .where(and(isOneOf(sessions, bySession), isLiveSession(deps))),
    byToken.length === 0
      ? []
      : deps.db
          .select({ id: apiTokens.id })
          .from(apiTokens)
          .where(and(isOneOf(apiTokens, byToken), isLiveApiToken(deps), isActiveUser(apiTokens.userId))),
  ])
  return new Set(found.flat().map(({ id }) => id))
}

// Pairs of a user and an id, which the primary key finds one by one.
function isOneOf(table: typeof sessions | typeof apiTokens, credentials: readonly Credential[]): SQL {
  const userIds = arrayOf(credentials.map(({ userId }) => userId))
  const ids = arrayOf(credentials.map(({ id }) => id))
  const type = sql.raw(table.id.getSQLType())
  return sql`(${table.userId}, ${table.id}) in (select * from unnest(${userIds}::text::uuid[], ${ids}::text::${type}[]))`
}

// The ids are UUIDs and hashes, which need no quotes.
function arrayOf(ids: Iterable<string>): string {
  return `{${[...ids].join(',')}}`
}
