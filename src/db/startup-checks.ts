import { type KeyRing, type SealContext, seal, unseal } from '../crypto.ts'
import { StartupError } from '../process/startup-error.ts'
import type { Db } from './client.ts'
import { encryptionCanaries } from './tables.ts'

/** The configured keys do not open the secrets in this database. */
export class WrongKeysError extends StartupError {
  constructor(keyId: string) {
    super(`${explainMissingKey(keyId)} Nothing was changed.`, 78)
    this.name = 'WrongKeysError'
  }
}

const TEXT = 'xconnect'

/**
 * Returns the id of a key that sealed values need and that is not configured; null when the keys
 * open everything.
 */
export async function findMissingKey(db: Db, keys: KeyRing): Promise<string | null> {
  for (const canary of await db.select().from(encryptionCanaries)) {
    try {
      if (unseal(keys, place(canary.keyId), canary.sealed) !== TEXT) throw new Error('Bug: another text was sealed')
    } catch {
      return canary.keyId
    }
  }
  return null
}

/** Returns the message for a key that `findMissingKey` found. */
export function explainMissingKey(keyId: string): string {
  return `The database holds values sealed under the encryption key "${keyId}", and the configured keys do not open them. Configure that key again (it may stand behind a new one, as in k2:…,k1:…). One that was generated is in DATA_DIR/encryption-keys.`
}

/**
 * Checks that the configured keys open the stored canaries, and stores one for the first key. With
 * other keys, every account would appear to have lost its tokens.
 * @throws WrongKeysError
 */
export async function checkEncryptionKeys(db: Db, keys: KeyRing): Promise<void> {
  const missing = await findMissingKey(db, keys)
  if (missing !== null) throw new WrongKeysError(missing)
  const keyId = keys[0].id
  await db
    .insert(encryptionCanaries)
    .values({ keyId, sealed: seal(keys, place(keyId), TEXT) })
    .onConflictDoNothing()
}

function place(keyId: string): SealContext {
  return { table: 'encryption_canaries', column: 'sealed', accountId: keyId, userId: '' }
}
