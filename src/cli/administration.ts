// What the commands that administer users have in common: the dependencies of a gateway that serves
// nobody, pages, and confirmation.
import { createInterface } from 'node:readline/promises'
import { findUser, listUsers } from '../administration/users.ts'
import { productionTiming } from '../config/timing.ts'
import { migrateDatabase } from '../db/migrate.ts'
import { isRowId } from '../db/row-id.ts'
import { createDeps, type Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { notifyOfEvents } from '../events/notify.ts'
import { createJobQueue, installQueues } from '../jobs/queue.ts'
import { createWebhookEgress } from '../outbound/webhook-egress.ts'
import { toPrintable } from '../printable.ts'
import { createEventNotifier } from '../process/event-notifier.ts'
import { createLog } from '../telemetry/log.ts'
import { requireUsableKeys } from './keys.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'
import { withDatabase } from './with-database.ts'

/** A parsed command, which returns its exit code. */
export type AdminWork = (deps: Deps, output: Output) => Promise<number>

const MAX_LISTED = 1_000
const DEFAULT_LISTED = 50

/**
 * Runs a command with the dependencies of a gateway. Jobs that it queues are run by the gateways.
 */
export function withAdministration(output: Output, work: AdminWork): Promise<number> {
  return withDatabase(output, async (config, database) => {
    const { db } = database
    // No gateway may have run yet.
    await migrateDatabase(database, {
      report: (_fields, sentence) => output.message(`${sentence}.`),
      underLock: () => installQueues(database),
    })
    await requireUsableKeys(database, config)
    const log = createLog('warn', { write: (line) => output.message(line.trimEnd()) })
    const { callDeadlineSeconds: deadlineSeconds } = productionTiming
    const webhookEgress = createWebhookEgress({ policy: config.webhookEgressPolicy, deadlineSeconds })
    const queue = createJobQueue(database, log)
    const eventNotifier = createEventNotifier(log, (userIds) => notifyOfEvents(db, userIds))
    try {
      const deps = createDeps({ db, config, log, jobs: queue.jobs, webhookEgress, eventNotifier })
      return await work(deps, output)
    } finally {
      await eventNotifier.end()
      await queue.stop(1)
      await webhookEgress.close()
    }
  })
}

/** The options of every list. */
export const pageOptions = {
  limit: { type: 'string' },
  after: { type: 'string' },
  json: { type: 'boolean' },
} as const

/** A page as it was asked for on the command line. */
export type AskedPage = { limit: number; after: string | null; json: boolean }

/** Parses the options of a list. @throws UsageError */
export function parsePage(options: { limit?: string; after?: string; json?: boolean }): AskedPage {
  const limit = options.limit === undefined ? DEFAULT_LISTED : Number(options.limit)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED)
    throw new UsageError(`--limit takes a number from 1 to ${MAX_LISTED}.`)
  if (options.after !== undefined && !isRowId(options.after))
    throw new UsageError('--after takes the last id of a page.')
  return { limit, after: options.after ?? null, json: options.json ?? false }
}

/**
 * The arguments of a list function for a page, with one row more, which shows that there are
 * others.
 */
export function toIdPage({ limit, after }: AskedPage) {
  return { after, before: null, limit: limit + 1, backward: false }
}

/** Prints a page that was read by `toIdPage`: a line for each row, and how to get the next page. */
export function printPage<Row extends { id: string }>(
  output: Output,
  { limit, json }: AskedPage,
  rows: readonly Row[],
  describe: (row: Row) => string,
): number {
  const shown = rows.slice(0, limit)
  for (const row of shown) output.result(json ? JSON.stringify(row) : describe(row))
  if (shown.length === 0) output.message('There are none.')
  if (rows.length > limit) output.message(`There are more: add --after ${shown.at(-1)?.id}`)
  return 0
}

/** Prints one object: as JSON on one line, or a line for each property. */
export function printObject(output: Output, json: boolean, object: object): number {
  if (json) output.result(JSON.stringify(object))
  else for (const [name, value] of Object.entries(object)) output.result(`${name.padEnd(20)} ${toText(value)}`)
  return 0
}

/** Writes a value of a row for people. */
export function toText(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (value instanceof Date) return value.toISOString()
  return toPrintable(Array.isArray(value) ? value.join(',') : String(value))
}

/**
 * Returns the id of the user that an operator names: by their id, a GitHub login, or @ and a
 * username at X.
 * @throws AppError USER_NOT_FOUND @throws UsageError when a username names several users.
 */
export async function resolveUser(deps: Pick<Deps, 'db'>, named: string): Promise<string> {
  if (isRowId(named)) {
    const user = await findUser(deps, named)
    if (user !== null) return user.id
    throw new AppError('USER_NOT_FOUND')
  }
  const filter = named.startsWith('@')
    ? { githubLogin: null, xUsername: named }
    : { githubLogin: named, xUsername: null }
  const found = await listUsers(deps, filter, { after: null, before: null, limit: 10, backward: false })
  const [first, ...others] = found
  if (first === undefined) throw new AppError('USER_NOT_FOUND')
  if (others.length > 0)
    throw new UsageError(`Several users have connected ${named}: ${found.map(({ id }) => id).join(', ')}. Give an id.`)
  return first.id
}

/**
 * Asks on the terminal whether to do something, unless `yes`.
 * @throws UsageError where nobody can be asked.
 */
export async function confirm(output: Output, yes: boolean, question: string): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY) throw new UsageError('Nobody can be asked here: add --yes.')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `)
    if (/^y(es)?$/i.test(answer.trim())) return true
  } finally {
    terminal.close()
  }
  output.message('Nothing was done.')
  return false
}
