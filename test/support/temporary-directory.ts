/** Directories that are gone after the tests, also when the tests were killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const RAM_DISK = '/dev/shm'

/** A whole run needs a few hundred MB; containers often have a RAM disk of 64 MB, which would fill up half-way. */
const RAM_DISK_FREE_BYTES = 3 * 1024 ** 3

export type TemporaryDirectory = {
  path: string
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A new directory: on the RAM disk where there is a roomy one (copying a database takes 10 ms there and up to 300 ms on
 * a disk), else in the system's place for temporary files. `disk` when it must hold programs, which a RAM disk may not run.
 *
 * If a PostgreSQL runs on `data` in it, removing the directory ends that server first.
 */
export async function makeTemporaryDirectory(
  purpose: string,
  where: 'fast' | 'disk' = 'fast',
): Promise<TemporaryDirectory> {
  const parent = where === 'fast' && (await hasRoomyRamDisk()) ? RAM_DISK : tmpdir()
  const path = await mkdtemp(join(parent, `xconnect-${purpose}-`))
  const guardian = startGuardian(path)
  const remove = () => endGuardian(guardian)
  return { path, remove, [Symbol.asyncDispose]: remove }
}

async function hasRoomyRamDisk(): Promise<boolean> {
  // Whoever sets TMPDIR wants everything there.
  if (process.env.TMPDIR) return false
  const found = await statfs(RAM_DISK).catch(() => null)
  return found !== null && found.bavail * found.bsize > RAM_DISK_FREE_BYTES
}

/**
 * `cat` returns when our end of the pipe closes: at `remove()`, or when this process ends in any way at all. Every
 * removal goes through here, so the way that is rarely needed is the way that is always taken.
 */
const GUARDIAN_SCRIPT = `
  cat >/dev/null
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
  if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    kill -CONT "$pid" 2>/dev/null
    tries=0
    # Both: a killed server leaves the file, and one that nobody waits for leaves the process.
    while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 400 ]; do
      sleep 0.05
      tries=$((tries + 1))
    done
    kill -KILL "$pid" 2>/dev/null
  fi
  rm -rf "$1"
`

function startGuardian(path: string): ChildProcess {
  const guardian = spawn('/bin/sh', ['-c', GUARDIAN_SCRIPT, 'sh', path], {
    cwd: '/',
    // Ctrl-C reaches the whole process group, and must not end the one who tidies up.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guardian.unref()
  return guardian
}

async function endGuardian(guardian: ChildProcess): Promise<void> {
  if (guardian.exitCode !== null || guardian.signalCode !== null) return
  const ended = once(guardian, 'exit')
  guardian.ref()
  guardian.stdin?.end()
  await ended
}
