// Programs of the machine that npm does not have. Tests that need a missing one are skipped with a
// note; with CI=true they fail.
import { delimiter, join } from 'node:path'
import { describe, test } from 'vitest'
import { isExecutable } from './executable.ts'

/** Returns the path of the executable; null if it is not installed. */
export function findInstalledProgram(name: string): string | null {
  // Debian installs servers in a directory that only root's PATH contains.
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter(Boolean)
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null
}

/** The sentence for a missing program. Debian's package has the name of the program. */
export function describeMissing(name: string): string {
  return `No ${name} was found. Install one (Debian: apt-get install ${name}).`
}

/** `describe` for tests that need this program. */
export function describeWithProgram(name: string, title: string, suite: () => void): void {
  if (findInstalledProgram(name) !== null) {
    describe(title, suite)
  } else if (process.env.CI === 'true') {
    describe(title, () => {
      test(`has ${name} to run`, () => {
        throw new Error(describeMissing(name))
      })
    })
  } else {
    console.warn(`SKIPPED: ${title}. ${describeMissing(name)}`)
    describe.skip(`${title} (skipped: no ${name} found)`, suite)
  }
}
