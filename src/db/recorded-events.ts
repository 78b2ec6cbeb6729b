// The events that a transaction has recorded. They are declared in this layer, below the features,
// because `transaction` (deps.ts) writes them as its last act; events/events.ts does the writing.
import type { AfterCommit } from './after-commit.ts'
import type { Db } from './client.ts'
import type { eventTypes } from './tables.ts'

/** The data of an event that is recorded. Absent ids are stored as null. */
export type NewEvent = {
  type: (typeof eventTypes)[number]
  /** The user that the event is about; OPERATOR_ID for an event of the operator. */
  userId: string
  accountId?: string
  tweetId?: string
  apiTokenId?: string
  webhookEndpointId?: string
  /** In an event of the operator, the user that it is about. */
  subjectUserId?: string
  /** In an act of the operator, who acted. */
  actor?: string
  /** The reason as a code. */
  reason?: string | null
}

/** The end of a transaction, in which events are written. */
export type TransactionEnd = { db: Db; afterCommit: AfterCommit }

/** Writes events, in the order in which they were recorded. */
export type WriteEvents = (end: TransactionEnd, recorded: readonly NewEvent[]) => Promise<void>

/** The events of one transaction, in the order in which they were recorded. */
export type RecordedEvents = {
  /** Keeps events until the transaction ends. */
  add(recorded: readonly NewEvent[], write: WriteEvents): void
  /**
   * Gives the events to the enclosing transaction, when this one is a savepoint; otherwise writes
   * them. Call it as the last act of the transaction.
   */
  finish(enclosing: RecordedEvents | null, end: TransactionEnd): Promise<void>
}

/** Creates the list of one transaction. */
export function createRecordedEvents(): RecordedEvents {
  const recorded: NewEvent[] = []
  let write: WriteEvents | null = null
  return {
    add: (more, writeEvents) => {
      recorded.push(...more)
      write = writeEvents
    },
    finish: async (enclosing, end) => {
      if (write === null) return
      if (enclosing === null) await write(end, recorded)
      else enclosing.add(recorded, write)
    },
  }
}
