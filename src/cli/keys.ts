// xconnect keys: encryption keys for tokens and webhook secrets.
import { randomBytes } from 'node:crypto'
import { resealAll } from '../accounts/reseal.ts'
import type { Config } from '../config/config.ts'
import type { Db } from '../db/client.ts'
import type { Output } from './output.ts'

export const KEYS_USAGE = `  xconnect keys generate   print a new encryption key
  xconnect keys rotate     encrypt all secrets again with the first configured key; gateways can keep running`

/** Prints a new key in the form of ENCRYPTION_KEYS, with the date as its id. */
export function generateKey({ result }: Output): void {
  const date = new Date().toISOString().slice(0, 10).replaceAll('-', '')
  result(`k${date}:${randomBytes(32).toString('base64')}`)
}

/**
 * Encrypts all secrets with the first configured key, and prints which keys are no longer needed.
 */
export async function rotateKeys(db: Db, { encryptionKeys }: Config, { result }: Output): Promise<void> {
  const { resealed, waiting, waitingAttempts, unreadable } = await resealAll(db, encryptionKeys)
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
