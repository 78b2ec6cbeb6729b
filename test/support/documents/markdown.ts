// Reads the documents of the repository: the parts of Markdown that they use.
import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '../../..')

export type Block = { language: string; text: string }

/** Returns the text of a document. @param document its path from the root of the repository. */
export function readDocument(document: string): string {
  return readFileSync(path.join(root, document), 'utf8')
}

/** Returns the fenced code blocks of a text, in their order. */
export function parseBlocks(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({ language, text }))
}

/** Returns the code spans of a text, without those in code blocks. */
export function parseSpans(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replaceAll('\n', ' '))
}

/** Returns the targets of links and images, without those to other sites. */
export function parseRelativeLinks(text: string): string[] {
  const prose = withoutBlocks(text).replaceAll(/`[^`]+`/g, '')
  return [...prose.matchAll(/\]\((?![a-z]+:)([^)\s]+)\)/g)].map(([, target = '']) => target)
}

/**
 * Returns the anchors of the headings, as GitHub makes them: the second of two equal ones ends in
 * `-1`.
 */
export function parseAnchors(text: string): string[] {
  const seen = new Map<string, number>()
  return [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    const earlier = seen.get(anchor) ?? 0
    seen.set(anchor, earlier + 1)
    return earlier === 0 ? anchor : `${anchor}-${earlier}`
  })
}

/**
 * Returns the one code block of a document in this language that contains this text.
 * @throws Error where there is none, or more than one.
 */
export function readDocumentBlock(document: string, language: string, text: string): string {
  const blocks = parseBlocks(readDocument(document)).filter(
    (block) => block.language === language && block.text.includes(text),
  )
  if (blocks.length !== 1) throw new Error(`${document} has ${blocks.length} blocks of ${language} with ${text}`)
  return blocks[0]?.text ?? ''
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```\w*\n.*?^```$/gms, '')
}
