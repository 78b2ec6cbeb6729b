import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { EncryptionKey } from '../crypto.ts'
import { explainUnusableDirectory, makeDataDirectory } from './data-directory.ts'
import type { Remarks } from './remarks.ts'
import { judgeSecretFile } from './secret-file.ts'

const KEY_BYTES = 32
// 32 random bytes have about 30 distinct values; a typed or all-zero key has few.
const KEY_MIN_DISTINCT_BYTES = 6

/**
 * Loads the configured keys. Outside production it creates a missing key in a file of the data
 * directory that only this user can read.
 * @param remarks receives a sentence for each problem and warning. No sentence quotes a key.
 */
export function loadEncryptionKeys(
  get: (name: string) => string | null,
  { production, dataDir, mayCreate }: { production: boolean; dataDir: string; mayCreate: boolean },
  { problems, warnings }: Remarks,
): { ring: EncryptionKey[]; source: string } {
  const inline = get('ENCRYPTION_KEYS')
  const named = get('ENCRYPTION_KEYS_FILE')
  if (inline !== null) {
    if (named !== null) problems.push('ENCRYPTION_KEYS and ENCRYPTION_KEYS_FILE are both set: keep one.')
    return { ring: parseKeys(inline, 'ENCRYPTION_KEYS', problems), source: 'ENCRYPTION_KEYS' }
  }
  if (named === null && production) {
    problems.push('ENCRYPTION_KEYS or ENCRYPTION_KEYS_FILE is missing: generate a key with npx xconnect keys generate.')
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
    judgeSecretFile(file, { problems, warnings })
    return { ring: parseKeys(readFileSync(file, 'utf8').trim(), file, problems), source: file }
  } catch {
    problems.push(`The file of encryption keys ${file} cannot be read.`)
    return { ring: [], source: file }
  }
}

// The complete file is linked into place: of several concurrent first starts one creates the key,
// and none reads a partial file.
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
    // Strict: a key without its id would be quoted as an id, and Buffer skips invalid base64.
    const [, id, encoded] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]+=*)$/.exec(entry) ?? []
    const secret = Buffer.from(encoded ?? '', 'base64')
    if (id === undefined)
      problems.push(`${source}: each key is written id:base64, with an id of 1 to 32 letters, digits, - and _.`)
    else if (secret.length !== KEY_BYTES)
      problems.push(
        `${source}: the key "${id}" has ${secret.length} bytes instead of ${KEY_BYTES} (generate one: npx xconnect keys generate).`,
      )
    else if (new Set(secret).size < KEY_MIN_DISTINCT_BYTES)
      problems.push(`${source}: the key "${id}" is not random (generate one: npx xconnect keys generate).`)
    else if (keys.some((key) => key.id === id)) problems.push(`${source}: the id "${id}" occurs twice.`)
    else keys.push({ id, secret })
  }
  if (keys.length === 0 && problems.length === problemsBefore)
    problems.push(`${source} contains no key: write "k1:" and 32 random bytes in base64.`)
  return keys
}
