// The file .env in the working directory: what cannot be read there must not pass for a file that is not there.
import { lstatSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { StartupError } from '../process/startup-error.ts'

/** The variables of `.env` in this directory; none where there is no such file. @throws StartupError when there is one that cannot be read. */
export function readEnvironmentFile(directory: string): Record<string, string | undefined> {
  const file = path.resolve(directory, '.env')
  // Of a link that leads nowhere, existsSync says that there is nothing.
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return {}
  const bytes = readBytes(file)
  try {
    // A byte order mark, as Windows editors write it, would become part of the first name.
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
        'it is a directory. (Docker makes one where the file of a bind mount is missing on the host.) Replace it by a file, or remove it',
      EACCES: 'this user may not read it. Give this user the right, as by chown or chmod, or remove the file',
      ENOENT: 'it is a link to a file that is not there. Restore that file, or remove the link',
    }
    throw new StartupError(
      `The file ${file} cannot be read: ${reasons[code] ?? `${code}. Repair it, or remove it`}. To start without one, set the variables in the environment.`,
      78,
    )
  }
}
