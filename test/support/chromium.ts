/** Finds and starts Chromium. Nothing is downloaded: playwright-core contains no browser. */
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { describe, test } from 'vitest'
import { isExecutable } from './executable.ts'

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
  // The network is off, so a page that loads a script, font or image from another host fails here.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
]

type Environment = Record<string, string | undefined>

/**
 * Returns CHROMIUM_PATH, else the first Chromium in the usual places, else null.
 * @throws Error if CHROMIUM_PATH is not executable.
 */
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

/** Starts a headless Chromium. The caller closes it. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error(missingSentence)
  return chromium.launch({
    executablePath,
    args: FLAGS,
    // Chromium cannot start its own sandbox as root, so it is off for root alone.
    chromiumSandbox: process.getuid?.() !== 0,
  })
}

/** Whether a suite runs, is skipped or fails, depending on a Chromium and on CI. */
export function planBrowserTests(executablePath: string | null, environment: Environment): 'run' | 'skip' | 'fail' {
  if (executablePath) return 'run'
  return environment.CI === 'true' ? 'fail' : 'skip'
}

/**
 * `describe` for tests that need a browser. Without a Chromium they are skipped, with a note on the
 * terminal and in the title. With CI=true they fail, because nobody would notice skipped tests
 * there.
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
