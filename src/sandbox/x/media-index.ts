import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Media, State } from '../state.ts'

/** The uploads by id, and their files. */
export type MediaIndex = {
  byId: Map<string, Media>
  /** The path of a file of an upload: a segment, or the whole file without an index. */
  path(id: string, segmentIndex?: number): string
  /** Removes the files of a sandbox that keeps nothing. */
  close(): void
}

/** @param directory null: a temporary one, made for the first file. */
export function createMediaIndex(state: State, directory: string | null): MediaIndex {
  let made: string | null = null
  const root = () => {
    made ??= directory ?? mkdtempSync(join(tmpdir(), 'x-sandbox-media-'))
    mkdirSync(made, { recursive: true })
    return made
  }
  return {
    byId: new Map(state.media.map((media) => [media.id, media])),
    path: (id, segmentIndex) => join(root(), segmentIndex === undefined ? id : `${id}.${segmentIndex}`),
    close: () => {
      if (directory === null && made !== null) rmSync(made, { recursive: true, force: true })
    },
  }
}
