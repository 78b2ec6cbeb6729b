// Writes the outcome of a tweet, the use of its account and its event by one statement, which is its own
// transaction unless the user may have webhook endpoints.
import { and, eq, getTableColumns, getTableName, SQL, sql } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { prepareForms } from '../db/prepared-query.ts'
import { hasOne } from '../db/statement-parts.ts'
import { connectedAccounts, tweets } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { hasNoEndpoints, writeMissingDeliveries } from '../events/deliveries.ts'
import { completeEvents, type NewEvent } from '../events/events.ts'
import { type UnplacedEvent, unplaced } from '../events/unplaced-event.ts'
import { eventParts, eventPlaceholders, eventValues } from '../events/write.ts'

type Tweet = typeof tweets.$inferSelect
/** The columns of an outcome. An expression is always the same one for its column. */
type Outcome = PgUpdateSetSource<typeof tweets> & { status: Tweet['status'] }

/**
 * Updates a tweet that is PENDING in its attempt, and writes the event. The rows are locked in the
 * order of db/user-lock.ts: each part of the statement waits for the one before it.
 *
 * The webhook deliveries are written with it. Only if the user's first endpoint is created at the same
 * moment, they are written right after it.
 * @returns null when the tweet has changed meanwhile, and nothing was written.
 */
export async function writePendingOutcome(
  deps: Deps,
  tweet: Tweet,
  outcome: Outcome,
  event: NewEvent,
): Promise<Tweet | null> {
  const happened = [unplaced(event)]
  return (
    (await writeAtOnce(deps, tweet, outcome, happened)) ??
    (await transaction(deps, async (deps) => {
      const written = await runStatement(deps, tweet, outcome, happened, { withEndpoints: true })
      if (written !== null) await completeEvents(deps, tweet.userId, happened, written, false)
      return written?.tweet ?? null
    }))
  )
}

// Returns null, too, when the user may have webhook endpoints.
async function writeAtOnce(
  deps: Deps,
  tweet: Tweet,
  outcome: Outcome,
  happened: readonly UnplacedEvent[],
): Promise<Tweet | null> {
  const { userId } = tweet
  const written = await runStatement(deps, tweet, outcome, happened, { withEndpoints: false })
  if (written === null) return null
  deps.eventNotifier.notify([userId])
  try {
    if (written.endpointsVersion > 0) await writeMissingDeliveries(deps, userId, happened, written)
  } catch (error) {
    deps.log.error({ error, tweetId: tweet.id }, 'The webhooks of a tweet could not be written')
  }
  return written.tweet
}

async function runStatement(
  deps: Deps,
  { userId, id, accountId, attempt }: Tweet,
  outcome: Outcome,
  happened: readonly UnplacedEvent[],
  { withEndpoints }: { withEndpoints: boolean },
) {
  const given = Object.entries(outcome).filter(([, value]) => !(value instanceof SQL))
  const values = { id, accountId, attempt, ...eventValues(userId, happened) }
  const [row] = await updatePending(deps, { outcome, withEndpoints }, { ...values, ...Object.fromEntries(given) })
  if (row === undefined) return null
  const { tweet, now, position, endpointsVersion } = row
  if (position === null || endpointsVersion === null) throw new Error('Bug: an outcome has got no event')
  return { tweet, now, position, endpointsVersion }
}

const updatePending = prepareForms(
  ({ outcome, withEndpoints }: { outcome: Outcome; withEndpoints: boolean }) =>
    `${withEndpoints} ${Object.entries(outcome).map(([name, value]) => (value instanceof SQL ? `${name} by SQL` : name))}`,
  ({ db, clock }, { outcome, withEndpoints }) => {
    const given = sql.placeholder
    const userId = given('userId')
    const owner = db.$with('owner').as(lockedUser(db, userId, withEndpoints ? undefined : hasNoEndpoints(userId)))
    const changed = db.$with('changed').as(
      db
        .update(tweets)
        .set(withPlaceholders(outcome))
        .where(
          and(
            eq(tweets.userId, userId),
            eq(tweets.id, given('id')),
            eq(tweets.attempt, given('attempt')),
            eq(tweets.status, 'PENDING'),
            hasOne(owner),
          ),
        )
        .returning(),
    )
    const used = db.$with('used').as(
      db
        .update(connectedAccounts)
        .set({ lastUsedAt: clock.sqlNow() })
        .where(
          and(
            eq(connectedAccounts.userId, userId),
            eq(connectedAccounts.id, given('accountId')),
            sql`${given('status')}::text = 'POSTED' and ${hasOne(changed)}`,
          ),
        )
        .returning({ id: connectedAccounts.id }),
    )
    const source = sql`(select count(*) from ${used}) as used_accounts, ${changed}`
    const { counter, all } = eventParts({ db, clock }, eventPlaceholders, source)
    return db
      .with(owner, changed, used, ...all)
      .select({
        tweet: changed._.selectedFields,
        now: sql<string>`${clock.sqlNow()}::text`,
        position: counter.position,
        endpointsVersion: counter.endpointsVersion,
      })
      .from(changed)
      .leftJoin(counter, sql`true`)
  },
)

// Each value is given for the execution, under the name of its column.
function withPlaceholders(outcome: Outcome): PgUpdateSetSource<typeof tweets> {
  const columns = getTableColumns(tweets)
  return Object.fromEntries(
    Object.entries(outcome).map(([name, value]) => {
      if (value instanceof SQL) return [name, value]
      if (!isColumn(name)) throw new Error(`Bug: ${getTableName(tweets)} has no column ${name}`)
      return [name, sql`${sql.param(sql.placeholder(name), columns[name])}`]
    }),
  )
}

function isColumn(name: string): name is keyof typeof tweets._.columns {
  return name in getTableColumns(tweets)
}
