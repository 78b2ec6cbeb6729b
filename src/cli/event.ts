// xconnect event tail: the events of the operator, with their acts, as they happen.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import type { EventPage, EventReader } from '../events/page-statement.ts'
import { type Event, readEvents } from '../events/read.ts'
import { toPrintable } from '../printable.ts'
import type { AdminWork } from './administration.ts'
import { parseOptions } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const EVENT_USAGE = `  xconnect event tail [--last N] [--once] [--json]
                           print the last events of the operator and those that follow: acts of the operator, and
                           account events of users who show their accounts; with --once, only the last ones`

const OPERATOR: EventReader = { kind: 'OPERATOR', seesActs: true }
const ALL = { types: null, accountId: null }
const PAGE = 100
const POLL_MILLISECONDS = 1_000
const MAX_LAST = 1_000

/**
 * Parses the arguments of `xconnect event`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseEventCommand([verb, ...words]: readonly string[]): AdminWork {
  if (verb !== 'tail') throw new UsageError()
  const options = parseOptions(words, {
    last: { type: 'string' },
    once: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  const last = options.last === undefined ? 10 : Number(options.last)
  if (!Number.isInteger(last) || last < 0 || last > MAX_LAST)
    throw new UsageError(`--last takes a number from 0 to ${MAX_LAST}.`)
  const { once = false, json = false } = options
  return async (deps, output) => {
    const print = (event: Event) => output.result(json ? JSON.stringify(event) : describe(event))
    let position = await printLast(deps, last, print)
    while (!once) {
      position = await printAfter(deps, position, print)
      await sleep(POLL_MILLISECONDS)
    }
    return 0
  }
}

// Returns the position after which all events are new.
async function printLast(deps: Deps, last: number, print: (event: Event) => void): Promise<number> {
  const newest: Event[] = []
  let before: number | null = null
  let position: number | null = null
  do {
    const page: EventPage = { after: null, before, limit: Math.max(last - newest.length, 1), backward: true }
    const read = await readEvents(deps, OPERATOR, ALL, page)
    position ??= read.lastPosition
    newest.push(...read.events)
    before = read.examinedTo
  } while (before !== null && newest.length < last)
  for (const event of newest.slice(0, last).toReversed()) print(event)
  return position
}

async function printAfter(deps: Deps, position: number, print: (event: Event) => void): Promise<number> {
  let after = position
  for (;;) {
    const page: EventPage = { after, before: null, limit: PAGE, backward: false }
    const { events, examinedTo } = await readEvents(deps, OPERATOR, ALL, page)
    for (const event of events) print(event)
    after = examinedTo ?? events.at(-1)?.position ?? after
    if (examinedTo === null && events.length < PAGE) return after
  }
}

function describe({ occurredAt, type, reason, userId, accountId, tweetId, actor }: Event): string {
  const about = { user: userId, account: accountId, tweet: tweetId, reason, by: actor }
  const named = Object.entries(about).flatMap(([name, value]) =>
    value === null ? [] : [`${name} ${toPrintable(value)}`],
  )
  return [occurredAt.toISOString(), type.padEnd(30), ...named].join('  ')
}
