// The rows of SECURITY.md's checklist, and the tests that carry their ids.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** `O-01` and the like, as the first thing of a title or after another word. */
export const CHECKLIST_ID = /\b[OLTSCKGIWE]-\d\d\b/g

/** A row: its id, what holds, and the files (`test/stories/sessions/sessions.test.ts`) that it names. */
export type ChecklistRow = { id: string; sentence: string; files: string[] }

/** The checklist as it stands in SECURITY.md, in its order. */
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

/** Which ids stand in the titles of which test files: in any text of theirs, since a title may come from a table. */
export function findChecklistTests(): Omit<ChecklistRow, 'sentence'>[] {
  const filesOfId = new Map<string, Set<string>>()
  for (const file of globSync('test/**/*.test.ts', { cwd: root }).sort()) {
    const texts = readFileSync(join(root, file), 'utf8').match(/(['"`])(?:(?!\1).)+\1/g) ?? []
    for (const [id] of texts.join('\n').matchAll(CHECKLIST_ID))
      filesOfId.set(id, (filesOfId.get(id) ?? new Set()).add(file))
  }
  return [...filesOfId].map(([id, files]) => ({ id, files: [...files] }))
}
