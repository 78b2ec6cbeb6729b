// The types of events that a caller may read. An API token reads no events of sessions: they tell
// when and how often its user signs in, and no scope shows sessions.
import { mayAsOperator, type Viewer } from '../auth/viewer.ts'
import { eventTypes } from '../db/tables.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events/events.ts'
import type { EventReader } from '../events/page-statement.ts'

/** The types of events that a user's API token may read. */
export const tokenEventTypes: readonly EventType[] = eventTypes.filter((type) => !type.startsWith('session.'))

/** Returns true when the viewer may read events of this type. */
export function mayReadEvents(viewer: Viewer | null, type: EventType): boolean {
  return viewer?.kind !== 'USER_TOKEN' || tokenEventTypes.includes(type)
}

/**
 * Returns the types to read for the viewer; null means all.
 * @param asked the types that the viewer asked for; null for all that it may read.
 * @throws AppError FORBIDDEN when it asked for a type that it may not read.
 */
export function readableTypes(viewer: Viewer | null, asked: readonly EventType[] | null): readonly EventType[] | null {
  if (viewer?.kind !== 'USER_TOKEN') return asked
  if (asked?.some((type) => !tokenEventTypes.includes(type)))
    throw new AppError('FORBIDDEN', {
      field: ['types'],
      detail: 'An API token cannot read events of sessions. Read them in a browser that is signed in.',
    })
  return asked ?? tokenEventTypes
}

/** The operator as a reader of events. Acts of the operator are shown with the scope admin:read. */
export function operatorReader(viewer: Viewer | null): EventReader {
  return { kind: 'OPERATOR', seesActs: mayAsOperator(viewer, 'admin:read') }
}
