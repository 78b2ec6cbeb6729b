// Applies unified diffs in memory, strictly: every hunk must fit at the line that it names. The
// diffs are those that `git diff` and `diff -u` write, with any text before the first "---" line.

type Hunk = { firstLine: number; before: string[]; after: string[] }

/** The hunks of a unified diff, by the path of the file that they change. */
export type Patch = ReadonlyMap<string, readonly Hunk[]>

const HUNK = /^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@/

/** Parses a unified diff. Paths lose their first segment, as with `patch -p1`. */
export function parsePatch(text: string): Patch {
  const files = new Map<string, Hunk[]>()
  let hunks: Hunk[] | null = null
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const [, firstLine] = HUNK.exec(line) ?? []
    const hunk = hunks?.at(-1)
    if (line.startsWith('--- ')) hunks = null
    else if (line.startsWith('+++ ')) {
      hunks = []
      files.set(line.replace(/^\+\+\+ [^/]+\//, ''), hunks)
    } else if (hunks !== null && firstLine !== undefined)
      hunks.push({ firstLine: Number(firstLine), before: [], after: [] })
    else if (hunk !== undefined) {
      if (!line.startsWith('+')) hunk.before.push(line.slice(1))
      if (!line.startsWith('-')) hunk.after.push(line.slice(1))
    }
  }
  return files
}

/**
 * Returns the source with a patch applied; unchanged if the patch does not name the file.
 * @throws Error when a hunk does not fit.
 */
export function applyPatch(source: string, file: string, patch: Patch): string {
  const lines = source.split('\n')
  let shift = 0
  for (const { firstLine, before, after } of patch.get(file) ?? []) {
    const start = firstLine - 1 + shift
    if (lines.slice(start, start + before.length).join('\n') !== before.join('\n'))
      throw new Error(`the hunk for line ${firstLine} of ${file} does not fit`)
    lines.splice(start, before.length, ...after)
    shift += after.length - before.length
  }
  return lines.join('\n')
}
