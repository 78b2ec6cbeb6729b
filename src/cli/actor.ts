// Who runs a command, for the events of the operator.
import { userInfo } from 'node:os'
import type { Actor } from '../events/operator-acts.ts'
import { UNPRINTABLE } from '../printable.ts'
import { UsageError } from './usage-error.ts'

const MAX_NAME_LENGTH = 100

/**
 * Returns who acts by a command: the name given by `--as`, or that of the user of the system.
 * @throws UsageError for a name that cannot be stored.
 */
export function commandActor(as: string | undefined): Actor {
  const name = as?.trim() ?? systemUser()
  if (name === '' || name.length > MAX_NAME_LENGTH || UNPRINTABLE.test(name))
    throw new UsageError('--as takes a name of 1 to 100 characters.')
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
