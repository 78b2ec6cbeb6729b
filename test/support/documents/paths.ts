import path from 'node:path'
import { parseBlocks, parseRelativeLinks, parseSpans } from './markdown.ts'

const WITH_FOLDER = /^(?:\.\.?\/)*[a-z.][\w.-]*(?:\/[\w.*-]+)+\/?$|^[a-z][\w-]*\/$/
const BARE = /^[\w.-]+\.(?:ts|mjs|md|json|graphql|sql|css|html)$/
const MEDIA_TYPE = /^(?:application|image|multipart|text)\//

/**
 * Returns the file names and paths, in code of the documents, that do not exist. A path is relative
 * to its document's folder or to one of the bases. A name without a folder may be of any file, or
 * of one that the document tells its reader to save.
 */
export function findPathProblems(documents: ReadonlyMap<string, string>, files: ReadonlySet<string>): string[] {
  const names = new Set([...files].map((file) => path.posix.basename(file)))
  return [...documents].flatMap(([document, text]) => {
    const bases = [path.posix.dirname(document), '', 'src', 'test']
    const exists = (word: string) => bases.some((base) => matchesFile(path.posix.join(base, word), files))
    const saved = new Set([...text.matchAll(/\bas `([^`]+)`/g), ...text.matchAll(/^```.*$/gm)].map(([, name]) => name))
    const written = new Set([...text.matchAll(/write `([^`]+)`/g)].map(([, name]) => name))
    return readWords(text).flatMap((word) => {
      if (WITH_FOLDER.test(word) && !MEDIA_TYPE.test(word))
        return exists(word) ? [] : [`${document}: there is no ${word}.`]
      if (!BARE.test(word) || saved.has(word) || written.has(word)) return []
      return names.has(word) ? [] : [`${document}: there is no file of the name ${word}.`]
    })
  })
}

/**
 * Returns the files and folders directly in a folder that the folder's own README does not name in
 * code or by a link.
 */
export function findUnnamedRooms(
  documents: ReadonlyMap<string, string>,
  folder: string,
  files: ReadonlySet<string>,
): string[] {
  const readme = `${folder}/README.md`
  const text = documents.get(readme) ?? ''
  const named = [...parseSpans(text), ...parseRelativeLinks(text)].map((name) => name.replace(/\/$/, ''))
  const rooms = [...files].filter((file) => path.posix.dirname(file) === folder && file !== readme)
  return rooms.filter((room) => !named.includes(path.posix.basename(room)))
}

function readWords(text: string): string[] {
  const commands = parseBlocks(text).filter(({ language }) => language === 'sh')
  const codes = [...parseSpans(text), ...commands.map(({ text }) => text)]
  return codes.flatMap((code) => code.split(/[\s"'(),;]+/))
}

function matchesFile(word: string, files: ReadonlySet<string>): boolean {
  const file = word.replace(/\/$/, '')
  if (!file.includes('*')) return files.has(file)
  const pattern = new RegExp(`^${file.replaceAll('.', '\\.').replaceAll(/\*+/g, '[^ ]*')}$`)
  return [...files].some((each) => pattern.test(each))
}
