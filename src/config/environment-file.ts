// The file .env. An unreadable file must not be treated like a missing one.
import { lstatSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { StartupError } from '../process/startup-error.ts'

/**
 * Reads the variables of `.env` in this directory; none if there is no such file.
 * @throws StartupError when the file exists and cannot be read.
 */
export function readEnvironmentFile(directory: string): Record<string, string | undefined> {
  const file = path.resolve(directory, '.env')
  // existsSync is false for a broken symbolic link.
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return {}
  const bytes = readBytes(file)
  try {
    // TextDecoder drops the byte order mark of Windows editors, which would become part of the
    // first name.
    return parseEnv(new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n'))
  } catch {
    throw new StartupError(`The file ${file} is not UTF-8 text. Save it in that encoding, without NUL characters.`, 78)
  }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    const reasons: Record<string, string> = {
      EISDIR:
        'it is a directory. (Docker creates one when the source file of a bind mount is missing on the host.) Replace it by a file, or remove it',
      EACCES: 'this user may not read it. Change its owner or mode with chown or chmod, or remove it',
      ENOENT: 'it is a symbolic link to a missing file. Restore that file, or remove the link',
    }
    throw new StartupError(
      `The file ${file} cannot be read: ${reasons[code] ?? `${code}. Repair it, or remove it`}. To start without it, set the variables in the environment.`,
      78,
    )
  }
}
