// Events as they are written: before they have a position, and what a statement says of them.
import { randomUUID } from 'node:crypto'
import type { NewEvent } from '../db/recorded-events.ts'

/** An event before it has a position. The operator's copy has the id and time of its original. */
export type UnplacedEvent = Omit<NewEvent, 'userId'> & {
  id: string
  /** As PostgreSQL formats it; null for the time of the statement. */
  occurredAt: string | null
}

/** What a statement says of the events that it has written. */
export type WrittenEvents = {
  /** The position of the last event. */
  position: number
  /** 0 when the user has never had a webhook endpoint. */
  endpointsVersion: number
  /** The time of the statement, as PostgreSQL formats it. */
  now: string
}

/** Gives an event its id. */
export function unplaced({ userId: _, ...event }: NewEvent): UnplacedEvent {
  return { ...event, id: randomUUID(), occurredAt: null }
}
