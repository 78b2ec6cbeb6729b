import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

/** The version of this release, from the package.json above this file. */
export const VERSION = readVersion()

function readVersion(): string {
  const file = findPackageJSON('..', import.meta.url)
  const parsed: unknown = file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'))
  if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string')
    return parsed.version
  throw new Error('Bug: no package.json with a version is above this file')
}
