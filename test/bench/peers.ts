// The packages of the peers and of the load generator, which the project itself does not install.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Installs what package-lock.json of this directory lists, unless that has been done. */
export function installPeers(): void {
  const lock = readFileSync(join(import.meta.dirname, 'package-lock.json'), 'utf8')
  const mark = join(import.meta.dirname, 'node_modules/.installed-lock.json')
  if (readOrNull(mark) === lock) return
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error('The packages of test/bench could not be installed.')
  writeFileSync(mark, lock)
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
