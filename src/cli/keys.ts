// xconnect keys: encryption keys for tokens and webhook secrets.
import { randomBytes } from 'node:crypto'
import { resealAll } from '../accounts/reseal.ts'
import type { Config } from '../config/config.ts'
import { countInstances, type RunningInstances } from '../db/announced-keys.ts'
import type { Database } from '../db/client.ts'
import { checkEncryptionKeys } from '../db/startup-checks.ts'
import { StartupError } from '../process/startup-error.ts'
import type { Output } from './output.ts'

export const KEYS_USAGE = `  xconnect keys generate   print a new encryption key, and the steps of a rotation
  xconnect keys rotate     encrypt all secrets again with the first configured key; gateways can keep running`

/** Prints a new key in the form of ENCRYPTION_KEYS, with the date as its id, and how to use it. */
export function generateKey({ result, message }: Output): void {
  // Two keys may be made on one day: the second replaces one that has leaked.
  const id = `k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(2).toString('hex')}`
  message(`For a first key, set ENCRYPTION_KEYS to it. To replace the key of running instances:
  1. add it behind the present one (ENCRYPTION_KEYS=OLD,${id}:…) at every instance, and restart them: all can decrypt with it;
  2. move it to the front (ENCRYPTION_KEYS=${id}:…,OLD) at every instance, and restart them: all encrypt with it;
  3. run xconnect keys rotate with the same variables until the old key is no longer needed, and remove it.`)
  result(`${id}:${randomBytes(32).toString('base64')}`)
}

/**
 * Encrypts all secrets with the first configured key, and prints which keys are no longer needed.
 * @throws WrongKeysError
 * @throws StartupError while an instance runs that does not encrypt with the first key.
 */
export async function rotateKeys(database: Database, config: Config, { result }: Output): Promise<void> {
  const { encryptionKeys } = config
  const requireSameKey = () => requireFirstEverywhere(database, config)
  // Before the key is recorded as one that the database needs.
  await requireSameKey()
  await checkEncryptionKeys(database.db, encryptionKeys)
  const { resealed, waiting, waitingAttempts, unreadable } = await resealAll(
    database.db,
    encryptionKeys,
    // One may have started since.
    requireSameKey,
  )
  const [first, ...spare] = encryptionKeys
  result(`Encrypted again with the key "${first.id}": ${resealed}.`)
  if (unreadable > 0)
    result(
      `${unreadable} cannot be decrypted with any key, because they were altered: the accounts have to be connected again, or the webhook secrets rotated.`,
    )
  if (waiting > 0)
    result(
      `${waiting} are in use: ${waitingAttempts} by connect attempts in progress, ${waiting - waitingAttempts} by refreshes and replacements in progress. Run this command again in ten minutes; keep all keys configured until then.`,
    )
  else if (spare.length > 0)
    // Printed at every run while it is true, also when nothing was left to encrypt.
    result(`No longer needed; remove from the configuration: ${spare.map(({ id }) => `"${id}"`).join(', ')}.`)
}

/**
 * Requires that the keys of a command open the stored values, and that all running instances can
 * decrypt what it encrypts. Call it before a command encrypts anything.
 * @throws StartupError while an instance runs that lacks the first key.
 * @throws WrongKeysError
 */
export async function requireUsableKeys(database: Database, config: Config): Promise<void> {
  // Before the key is recorded as one that the database needs.
  await requireKnownEverywhere(database, config)
  await checkEncryptionKeys(database.db, config.encryptionKeys)
}

async function requireKnownEverywhere(database: Database, { encryptionKeys }: Config): Promise<RunningInstances> {
  const { id } = encryptionKeys[0]
  const instances = await countInstances(database, id)
  if (instances.lacking === 0) return instances
  throw new StartupError(
    `${instances.lacking} of ${instances.running} running instances lack the encryption key "${id}". Add it behind the present key at every instance and restart them, then move it to the front and restart them again (xconnect keys generate prints the steps). Nothing was encrypted with it.`,
    1,
  )
}

// An instance that encrypts with another key would need that key after it is removed.
async function requireFirstEverywhere(database: Database, config: Config): Promise<void> {
  const { running, writingOthers } = await requireKnownEverywhere(database, config)
  const keyId = config.encryptionKeys[0].id
  if (writingOthers > 0)
    throw new StartupError(
      `${writingOthers} of ${running} running instances encrypt with another key than "${keyId}". Write it first in ENCRYPTION_KEYS at every instance, restart them, and run this again. No key was retired.`,
      1,
    )
}
