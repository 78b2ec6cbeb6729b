// The procedures of docs/operate.md, with the tests that carry each of them out.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Procedure = { name: string; title: string; files: string[] }

/** Returns the rows of the table below the heading Procedures. A name is the anchor of its section. */
export function readProcedures(
  text = readFileSync(join(import.meta.dirname, '../../docs/operate.md'), 'utf8'),
): Procedure[] {
  const [, section = ''] = text.split(/^## Procedures$/m)
  const [table = ''] = section.split(/^#+ /m)
  return [...table.matchAll(/^\| \[([^\]]+)\]\(#([\w-]+)\) \| (.+) \|$/gm)].map(
    ([, title = '', name = '', cells = '']) => ({
      ...{ name, title },
      files: [...cells.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file),
    }),
  )
}
