/** The one place that knows where a Chromium is and how it is started. Nothing is downloaded: playwright-core brings no browser. */
import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { describe, test } from 'vitest'

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'microsoft-edge']

const MACOS_APPLICATIONS = [
  'Chromium.app/Contents/MacOS/Chromium',
  'Google Chrome.app/Contents/MacOS/Google Chrome',
  'Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
]

const FLAGS = [
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // The network is off: a page that needs a script, font or picture from elsewhere fails here and not at a user's.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
]

type Environment = Record<string, string | undefined>

/** CHROMIUM_PATH, else the first one in the usual places, else null. A CHROMIUM_PATH that leads nowhere throws. */
export function findChromium(environment: Environment = process.env): string | null {
  const chosen = environment.CHROMIUM_PATH
  if (chosen) {
    if (isExecutable(chosen)) return chosen
    throw new Error(
      `CHROMIUM_PATH is ${chosen}, which cannot be executed. Correct it, or unset it to search the usual places.`,
    )
  }
  return usualPlaces(environment).find(isExecutable) ?? null
}

/** A Chromium without a window. The caller closes it. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error(missingSentence)
  return chromium.launch({
    executablePath,
    args: FLAGS,
    // Chromium refuses to start its own sandbox as root, and only then do we do without.
    chromiumSandbox: process.getuid?.() !== 0,
  })
}

/** What a suite does where there is, or is not, a Chromium. */
export function planBrowserTests(executablePath: string | null, environment: Environment): 'run' | 'skip' | 'fail' {
  if (executablePath) return 'run'
  return environment.CI === 'true' ? 'fail' : 'skip'
}

/**
 * `describe` for tests that need a browser. Without a Chromium they are skipped, which is said on the terminal and in
 * the title; with CI=true that is a failure, because there a skipped browser test would never be noticed.
 */
export function describeInChromium(title: string, suite: () => void): void {
  const plan = planBrowserTests(findChromium(), process.env)
  if (plan === 'run') {
    describe(title, suite)
  } else if (plan === 'skip') {
    console.warn(`SKIPPED: ${title}. ${missingSentence}`)
    describe.skip(`${title} (skipped: no Chromium found)`, suite)
  } else {
    describe(title, () => {
      test('has a Chromium to run in', () => {
        throw new Error(missingSentence)
      })
    })
  }
}

const missingSentence =
  'No Chromium was found. Install one (Debian: apt-get install chromium), or set CHROMIUM_PATH to its executable.'

function usualPlaces(environment: Environment): string[] {
  const directories = new Set([...(environment.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/snap/bin'])
  const commands = [...directories]
    .filter(Boolean)
    .flatMap((directory) => COMMANDS.map((name) => join(directory, name)))
  if (process.platform !== 'darwin') return commands
  const applications = ['/Applications', join(homedir(), 'Applications')]
  return [...applications.flatMap((directory) => MACOS_APPLICATIONS.map((name) => join(directory, name))), ...commands]
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
