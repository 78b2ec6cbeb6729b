import path from 'node:path'
import { parseAnchors, parseRelativeLinks } from './markdown.ts'

/**
 * Returns what is wrong with the relative links of all documents.
 * @param documents their texts by their paths.
 * @param files all files and folders of the repository.
 */
export function findLinkProblems(documents: ReadonlyMap<string, string>, files: ReadonlySet<string>): string[] {
  return [...documents].flatMap(([document, text]) =>
    parseRelativeLinks(text).flatMap((link) => {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? document : path.posix.join(path.posix.dirname(document), file)
      if (!files.has(target.replace(/\/$/, ''))) return [`${document}: there is no ${target} (${link}).`]
      if (anchor === undefined) return []
      const anchors = parseAnchors(documents.get(target) ?? '')
      return anchors.includes(anchor) ? [] : [`${document}: ${target} has no section #${anchor}.`]
    }),
  )
}
