import { eq, type SQL } from 'drizzle-orm'
import { sha256 } from '../../src/crypto.ts'
import { sessions } from '../../src/db/tables.ts'
import { type Browser, sessionTokenOf } from './browser.ts'

/** Returns the condition that selects a browser's session. */
export function isSessionOf(person: Browser): SQL {
  return eq(sessions.id, sha256(sessionTokenOf(person)))
}
