// Files that contain a secret, and who else may read or write them.
import { statSync } from 'node:fs'
import type { Remarks } from './remarks.ts'

/**
 * Judges the mode of a file with a secret. One that all users of the machine may write is refused:
 * another user could replace the secret, and so choose the key that tokens are encrypted with. One
 * that all may read is taken with a warning, since Docker and Kubernetes mount secrets with the
 * modes 0444 and 0644, inside a container without other users.
 * @throws an error of the file system.
 */
export function judgeSecretFile(file: string, { problems, warnings }: Remarks): void {
  const { mode } = statSync(file)
  if ((mode & 0o002) !== 0)
    problems.push(
      `${file} can be written by every user of this machine, who could replace the secret: run chmod 600 on it.`,
    )
  else if ((mode & 0o004) !== 0)
    warnings.push(
      `${file} can be read by every user of this machine (mode ${(mode & 0o777).toString(8).padStart(4, '0')}). That is common for mounted secrets in a container; elsewhere run chmod 600 on it.`,
    )
}
