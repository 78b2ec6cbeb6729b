// The acts of the operator. Each is an event with who acted, for readers with admin:read, and an event
// of the user whom it concerns, who is not told a name.
import type { NewEvent } from '../db/recorded-events.ts'
import { OPERATOR_ID } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type EventType, type RecordDeps, recordEvent } from './events.ts'

export type { RecordDeps }

/** Who acts for the operator. */
export type Actor = {
  /** The kind and the name, such as "token:Support desk" or "command:mara". */
  name: string
  /** The operator's API token; null for a command. */
  apiTokenId: string | null
}

/** The type of an act. */
export type ActType = Extract<EventType, `operator.${string}`>

/** What was done, to whom. `userId` is absent where it concerns no user. */
export type Act = Pick<NewEvent, 'accountId' | 'tweetId' | 'reason'> & { type: ActType; userId?: string }

/**
 * Records an act in the transaction that does it. A user who is deleted, or has been, gets no event: a
 * job can outlive its user.
 */
export async function recordAct(deps: RecordDeps, actor: Actor, { userId, ...act }: Act): Promise<void> {
  if (userId !== undefined && act.type !== 'operator.user_deleted') {
    const [reader] = await lockUsers(deps.db, [userId])
    if (reader !== undefined) await recordEvent(deps, { ...act, userId })
  }
  await recordEvent(deps, {
    ...act,
    userId: OPERATOR_ID,
    actor: actor.name,
    ...(actor.apiTokenId !== null && { apiTokenId: actor.apiTokenId }),
    ...(userId !== undefined && { subjectUserId: userId }),
  })
}
