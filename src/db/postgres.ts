// postgres.js with the patches of `patches/`, applied in memory as Node loads it. Each patch is a
// unified diff whose head says what it repairs and names the upstream issues. A hook, and no change
// of the installed files: it needs no install script (`npm ci --omit=dev --ignore-scripts` is
// enough) and cannot be forgotten. To work on a patch, apply all before it with `patch -p1` to a
// copy of the package, change it, and write `diff -u`.
import { readdirSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { Socket } from 'node:net'
import path from 'node:path'
import { StartupError } from '../process/startup-error.ts'
import type { ChannelBinding } from './channel-binding.ts'
import { applyPatch, type Patch, parsePatch } from './patch.ts'

/** The options that the patches add to the driver. */
export type DriverExtras = {
  /** Statements to run on each new connection before anything else; empty for none. */
  onOpen: string
  /**
   * The text that follows `begin` in the same message, starting with a semicolon; empty for none.
   */
  onBegin: string
  /** True to refuse a server that does not ask for a proof bound to the channel. */
  mustBind: boolean
  /** The number of named statements that a connection keeps. */
  namedStatements: number
  /** Chooses the SASL mechanism. @throws Error when none of those offered is acceptable. */
  bindChannel(socket: Socket, mechanisms: readonly string[]): ChannelBinding
}

// The patches are diffs against this release.
const VERSION = '3.4.9'
const PATCHED_FILE = /\/postgres\/(src\/(?:index|connection|result)\.js)$/
// A property of the driver's function by which a patched driver is recognized.
const MARK = 'patchedByGateway'

const patches = readPatches(path.join(import.meta.dirname, 'patches'))

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const [, file] = PATCHED_FILE.exec(url) ?? []
    return file === undefined ? loaded : { ...loaded, source: patchDriver(String(loaded.source), file, url) }
  },
})

/** The patched driver. */
export const { default: postgres } = await import('postgres')
if (!(MARK in postgres))
  throw new StartupError(
    'The database driver was loaded before its patches: another module imported "postgres" first. Import it from src/db/postgres.ts alone, and start Node without --import or --require options that load it.',
    78,
  )
/** Drizzle on that driver. */
export const { drizzle: drizzlePostgres } = await import('drizzle-orm/postgres-js')

/**
 * Returns a socket that fails with `error`. The driver never reuses a connection whose socket could
 * not be created at all.
 */
export function failingSocket(error: unknown): Socket {
  const socket = new Socket()
  // Once the driver listens.
  setImmediate(() => socket.destroy(error instanceof Error ? error : new Error('failed')))
  return socket
}

function readPatches(directory: string): Patch[] {
  const names = readdirSync(directory).toSorted()
  return names.map((name) => parsePatch(readFileSync(path.join(directory, name), 'utf8')))
}

/** @throws StartupError when the installed driver is not the release that the patches are for. */
function patchDriver(source: string, file: string, url: string): string {
  const { version }: { version: string } = JSON.parse(readFileSync(new URL('../package.json', url), 'utf8'))
  try {
    if (version !== VERSION) throw new Error(`version ${version} is installed`)
    const patched = patches.reduce((text, patch) => applyPatch(text, file, patch), source)
    return file === 'src/index.js' ? `${patched}\nPostgres.${MARK} = true\n` : patched
  } catch (error) {
    throw new StartupError(
      `The database driver cannot be patched: src/db/patches is for postgres ${VERSION}, and ${error instanceof Error ? error.message : 'it does not fit'}. Install the dependencies again with npm ci.`,
      78,
    )
  }
}
