import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '../..')

/**
 * Returns the one code block of a document in this language that contains this text.
 * @param document its path from the root of the repository.
 * @throws Error where there is none, or more than one.
 */
export function readDocumentBlock(document: string, language: string, text: string): string {
  const blocks = [...readFileSync(path.join(root, document), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name, code]) => name === language && code?.includes(text))
    .map(([, , code]) => code ?? '')
  if (blocks.length !== 1) throw new Error(`${document} has ${blocks.length} blocks of ${language} with ${text}`)
  return blocks[0] ?? ''
}

/** Returns the relative links of a document, as they are written. */
export function readRelativeLinks(document: string): string[] {
  const text = readFileSync(path.join(root, document), 'utf8')
  return [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target = '']) => target)
}
