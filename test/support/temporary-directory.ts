/** Temporary directories that are removed after the tests, even if the tests are killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const RAM_DISK = '/dev/shm'

/**
 * A whole run needs a few hundred MB; containers often have a RAM disk of 64 MB, which is too
 * small.
 */
const RAM_DISK_FREE_BYTES = 3 * 1024 ** 3

export type TemporaryDirectory = {
  path: string
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a directory on the RAM disk if that is large enough, else in the system's directory for
 * temporary files. Copying a database takes 10 ms on a RAM disk and up to 300 ms on a disk. `disk`
 * is for programs, which a RAM disk may not be allowed to run.
 *
 * If a PostgreSQL server runs on `data` in it, removing the directory ends that server first.
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
  // With TMPDIR set, everything belongs there.
  if (process.env.TMPDIR) return false
  const found = await statfs(RAM_DISK).catch(() => null)
  return found !== null && found.bavail * found.bsize > RAM_DISK_FREE_BYTES
}

/**
 * `cat` returns when this process's end of the pipe closes: at `remove()`, or when this process
 * ends in any way. Every removal takes this path, so the rare case is tested by the common one.
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
    // Ctrl-C reaches the whole process group, and must not end the process that removes the
    // directory.
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
