// Who runs a command, for the events of the operator.
import { userInfo } from 'node:os'
import type { Actor } from '../events/operator-acts.ts'
import { isPrintable } from '../printable.ts'
import { UsageError } from './usage-error.ts'

// With the prefix it fits into the column `actor` of events.
const MAX_NAME_LENGTH = 100

/**
 * Returns who acts by a command: the name given by `--as`, or that of the user of the system.
 * @throws UsageError for a name that cannot be stored.
 */
export function commandActor(as: string | undefined): Actor {
  const name = as?.trim() ?? systemUser()
  if (!isPrintable(name, MAX_NAME_LENGTH))
    throw new UsageError(
      `--as takes a name of 1 to ${MAX_NAME_LENGTH} characters, without control characters and line breaks.`,
    )
  return { name: `command:${name}`, apiTokenId: null }
}

// A container may run a user id without a name.
function systemUser(): string {
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`
  }
}
