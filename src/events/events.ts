// The transactional outbox: one append-only table of events, written in the transaction of the
// change itself. The audit log, subscriptions and webhooks all read it. A user's events have
// positions without a gap: the row of `event_positions` is locked from the assignment of a position
// until the commit, so that a reader of this user never finds an earlier event later, and nobody
// waits for the events of another user.
import { eq } from 'drizzle-orm'
import type { NewEvent } from '../db/recorded-events.ts'
import { type eventTypes, OPERATOR_ID, users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { writeDeliveries } from './deliveries.ts'
import { notifyOfEvents } from './notify.ts'
import { hideOperatorCopies } from './operator-copies.ts'
import { type UnplacedEvent, unplaced, type WrittenEvents } from './unplaced-event.ts'
import { writeEvents } from './write.ts'

/** A type of event, as rows and webhooks name it. The SDL's enum has the same names in capitals. */
export type EventType = (typeof eventTypes)[number]

export type { NewEvent }

/**
 * The dependencies of recording. A command of the operator has no job queue and no notifier: a
 * gateway finds its deliveries within seconds, and it notifies the instances in its transaction.
 */
export type RecordDeps = Pick<Deps, 'db' | 'clock'> &
  Partial<Pick<Deps, 'jobs' | 'eventNotifier' | 'recordedEvents' | 'afterCommit'>>

/**
 * Records events in the transaction that makes the change, so that an event exists exactly if the
 * change does. The end of the transaction writes them, each user's in the order in which they were
 * recorded, with their webhook deliveries and the operator's copies.
 */
export async function recordEvent(deps: RecordDeps, ...happened: NewEvent[]): Promise<void> {
  if (deps.recordedEvents === undefined) throw new Error('Bug: an event is recorded outside a transaction')
  const { eventNotifier } = deps
  deps.recordedEvents.add(happened, async ({ db, afterCommit }, recorded) => {
    const userIds = await writeAll({ ...deps, db, afterCommit }, recorded)
    if (eventNotifier === undefined) await notifyOfEvents(db, userIds)
    else afterCommit(() => eventNotifier.notify(userIds))
  })
}

/**
 * Completes what a statement of the transaction of `deps` has written by `eventParts`: writes the
 * deliveries and the operator's copies, and notifies all instances after the commit. Call it last in
 * its transaction.
 * @param isShown true for a user who shows their accounts: the statement has read it from the row of
 *   the user, and locked it for share. Events that are not about accounts have no copies.
 */
export async function completeEvents(
  deps: Pick<Deps, 'db' | 'clock' | 'jobs' | 'eventNotifier' | 'afterCommit'>,
  userId: string,
  happened: readonly UnplacedEvent[],
  written: WrittenEvents,
  isShown: boolean,
): Promise<void> {
  await writeDeliveries(deps, userId, happened, written)
  const copied = isShown ? happened.filter(({ type }) => isAboutAccount(type)) : []
  if (copied.length > 0)
    await writeEvents(
      deps,
      OPERATOR_ID,
      copied.map((event) => ({ ...event, subjectUserId: userId, occurredAt: written.now })),
    )
  await deps.afterCommit(() => deps.eventNotifier.notify(copied.length > 0 ? [userId, OPERATOR_ID] : [userId]))
}

/** True for the types of events that the operator receives of users who show their accounts. */
export function isAboutAccount(type: EventType): boolean {
  return type.startsWith('account.')
}

/** True for the types of acts of the operator. */
export function isOperatorAct(type: EventType): boolean {
  return type.startsWith('operator.')
}

// Users in the order of their ids and the operator last, so that two transactions that write events
// of several users cannot deadlock. The operator's events are a statement of their own, because they
// may be on another node. Returns the users who have new events.
async function writeAll(deps: RecordDeps, recorded: readonly NewEvent[]): Promise<string[]> {
  const byUser = Map.groupBy(recorded, ({ userId }) => userId)
  const forOperator = (byUser.get(OPERATOR_ID) ?? []).map(unplaced)
  const userIds = [...byUser.keys()].filter((userId) => userId !== OPERATOR_ID).toSorted()
  for (const userId of userIds) {
    const own = (byUser.get(userId) ?? []).map(unplaced)
    const occurredAt = await writeEvents(deps, userId, own)
    for (const event of await listShown(deps, userId, own))
      forOperator.push({ ...event, subjectUserId: userId, occurredAt })
  }
  if (forOperator.length === 0) return userIds
  await writeEvents(deps, OPERATOR_ID, forOperator)
  return [...userIds, OPERATOR_ID]
}

// The operator has a copy of each account event of the time in which the user shows their accounts.
// The row of the user is read under the lock of their counter, in a statement that begins after it
// is taken: a change of the visibility takes the same lock, so that it sees all copies that were
// written before it.
async function listShown(
  deps: RecordDeps,
  userId: string,
  written: readonly UnplacedEvent[],
): Promise<UnplacedEvent[]> {
  const decided = written.findLastIndex(({ type }) => type === 'link_visibility.changed')
  if (decided >= 0) await hideOperatorCopies(deps, userId)
  const concerned = written.slice(decided + 1).filter(({ type }) => isAboutAccount(type))
  if (concerned.length === 0) return []
  const [user] = await deps.db.select({ linkVisibility: users.linkVisibility }).from(users).where(eq(users.id, userId))
  return user?.linkVisibility === 'INTEGRATORS' ? concerned : []
}
