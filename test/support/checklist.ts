// The rows of the checklist in SECURITY.md, and the tests whose titles contain their ids.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** Matches an id such as `O-01` at the start of a title or after a space. */
export const CHECKLIST_ID = /\b[OLTSCKGIWE]-\d\d\b/g

/** A row: its id, its requirement, and the test files that it names. */
export type ChecklistRow = { id: string; sentence: string; files: string[] }

/** Reads the checklist of SECURITY.md, in its order. */
export function readChecklist(): ChecklistRow[] {
  const text = readFileSync(join(root, 'SECURITY.md'), 'utf8')
  return [...text.matchAll(/^\| ([A-Z]-\d\d) \| (.*) \| (.*?) ?\|$/gm)].map(
    ([, id = '', sentence = '', files = '']) => ({
      id,
      sentence,
      files: [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => `test/${file}`),
    }),
  )
}

/**
 * Returns the test files by id. All text of a file is searched, since titles may come from tables.
 */
export function findChecklistTests(): Omit<ChecklistRow, 'sentence'>[] {
  const filesOfId = new Map<string, Set<string>>()
  for (const file of globSync('test/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] }).sort()) {
    const texts = readFileSync(join(root, file), 'utf8').match(/(['"`])(?:(?!\1).)+\1/g) ?? []
    for (const [id] of texts.join('\n').matchAll(CHECKLIST_ID))
      filesOfId.set(id, (filesOfId.get(id) ?? new Set()).add(file))
  }
  return [...filesOfId].map(([id, files]) => ({ id, files: [...files] }))
}
