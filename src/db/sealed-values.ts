// Opens sealed values, and tells a key that this instance lacks from a value that was altered.
import { eq } from 'drizzle-orm'
import { type KeyRing, type SealContext, UnsealError, unseal } from '../crypto.ts'
import type { Db } from './client.ts'
import { encryptionCanaries } from './tables.ts'

/**
 * A sealed value needs an encryption key that another instance encrypts with and this one lacks.
 * Nothing is wrong with the value: an instance that has the key opens it.
 */
export class EncryptionKeyMissingError extends Error {
  readonly keyId: string

  constructor(keyId: string, cause: UnsealError) {
    super(`The encryption key "${keyId}" is not configured at this instance.`, { cause })
    this.name = 'EncryptionKeyMissingError'
    this.keyId = keyId
  }
}

/** The parts of `Deps` that opening a value requires. */
export type SealedDeps = {
  db: Db
  config: Readonly<{ encryptionKeys: KeyRing }>
  /** Logs a key that this instance lacks, once an hour; a command has no log. */
  logMissingKey?: (keyId: string, fields: { keyId: string }) => void
}

/**
 * Opens a sealed value.
 * @throws UnsealError when no key will ever open it: it was altered, or names a key that never
 *   sealed a value of this database.
 * @throws EncryptionKeyMissingError when this instance lacks its key.
 */
export async function openSealed(deps: SealedDeps, context: SealContext, sealed: string): Promise<string> {
  try {
    return unseal(deps.config.encryptionKeys, context, sealed)
  } catch (error) {
    if (!(error instanceof UnsealError) || error.keyId === null || !(await isInUse(deps.db, error.keyId))) throw error
    deps.logMissingKey?.(error.keyId, { keyId: error.keyId })
    throw new EncryptionKeyMissingError(error.keyId, error)
  }
}

/** True when the error, or one of its causes, is a key that this instance lacks. */
export function isEncryptionKeyMissing(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof EncryptionKeyMissingError) return true
  return false
}

/** Returns the ids of the keys that stored values may need, in their order. */
export async function listKeyIds(db: Db): Promise<string[]> {
  const rows = await db.select({ keyId: encryptionCanaries.keyId }).from(encryptionCanaries)
  return rows.map(({ keyId }) => keyId).toSorted()
}

/** Returns the ids of the keys that stored values may need and that this instance lacks. */
export async function listMissingKeys({ db, config }: SealedDeps): Promise<string[]> {
  const known = new Set(config.encryptionKeys.map(({ id }) => id))
  return (await listKeyIds(db)).filter((id) => !known.has(id))
}

async function isInUse(db: Db, keyId: string): Promise<boolean> {
  // An altered key id may contain bytes that no text of the database can.
  if (!/^[\w-]{1,32}$/.test(keyId)) return false
  return (await db.$count(encryptionCanaries, eq(encryptionCanaries.keyId, keyId))) > 0
}
