import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { EncryptionKey } from '../crypto.ts'
import { explainUnusableDirectory, makeDataDirectory } from './data-directory.ts'

const KEY_BYTES = 32
// 32 random bytes have about 30 distinct values; a key typed by hand or of all zeros has few.
const KEY_MIN_DISTINCT_BYTES = 6

/**
 * The configured keys, or, outside production, one of our own making in a file beside the database that only we may read.
 * @param problems gets a sentence for everything wrong. None repeats a key: there is no more secret value.
 */
export function loadEncryptionKeys(
  get: (name: string) => string | null,
  { production, dataDir, mayCreate }: { production: boolean; dataDir: string; mayCreate: boolean },
  problems: string[],
): { ring: EncryptionKey[]; source: string } {
  const inline = get('ENCRYPTION_KEYS')
  const named = get('ENCRYPTION_KEYS_FILE')
  if (inline !== null) {
    if (named !== null) problems.push('ENCRYPTION_KEYS and ENCRYPTION_KEYS_FILE are both set: keep one.')
    return { ring: parseKeys(inline, 'ENCRYPTION_KEYS', problems), source: 'ENCRYPTION_KEYS' }
  }
  if (named === null && production) {
    problems.push('ENCRYPTION_KEYS or ENCRYPTION_KEYS_FILE is missing: make one by npx xconnect keys generate.')
    return { ring: [], source: '' }
  }
  const file = named ?? path.join(dataDir, 'encryption-keys')
  if (named === null && !existsSync(file)) {
    if (!mayCreate) return { ring: [], source: '' }
    try {
      makeDataDirectory(dataDir)
      createKeyFile(file)
    } catch (error) {
      problems.push(explainUnusableDirectory(dataDir, error))
      return { ring: [], source: file }
    }
  }
  try {
    if ((statSync(file).mode & 0o007) !== 0)
      problems.push(`${file} can be read by everybody on this machine: chmod 600 it.`)
    return { ring: parseKeys(readFileSync(file, 'utf8').trim(), file, problems), source: file }
  } catch {
    problems.push(`The encryption keys' file ${file} cannot be read.`)
    return { ring: [], source: file }
  }
}

// Linked into place whole: of several first starts at once one makes the key, and none reads half of it.
function createKeyFile(file: string): void {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `k1:${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600 })
  try {
    linkSync(draft, file)
  } catch (error) {
    if (!existsSync(file)) throw error
  } finally {
    unlinkSync(draft)
  }
}

function parseKeys(text: string, source: string, problems: string[]): EncryptionKey[] {
  const keys: EncryptionKey[] = []
  const problemsBefore = problems.length
  for (const entry of text.split(/[,\s]+/).filter((entry) => entry !== '')) {
    // Read strictly: without its id a key would be taken for one and shown, and Buffer skips what is not base64.
    const [, id, encoded] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]+=*)$/.exec(entry) ?? []
    const secret = Buffer.from(encoded ?? '', 'base64')
    if (id === undefined)
      problems.push(`${source}: each key is written id:base64, with an id of 1 to 32 letters, digits, - and _.`)
    else if (secret.length !== KEY_BYTES)
      problems.push(
        `${source}: the key "${id}" is ${secret.length} bytes long, not ${KEY_BYTES} (make one: npx xconnect keys generate).`,
      )
    else if (new Set(secret).size < KEY_MIN_DISTINCT_BYTES)
      problems.push(`${source}: the key "${id}" is not random (make one: npx xconnect keys generate).`)
    else if (keys.some((key) => key.id === id)) problems.push(`${source}: the id "${id}" occurs twice.`)
    else keys.push({ id, secret })
  }
  if (keys.length === 0 && problems.length === problemsBefore)
    problems.push(`${source} holds no key: write "k1:" and 32 random bytes in base64.`)
  return keys
}
