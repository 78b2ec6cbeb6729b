import { readFileSync } from 'node:fs'
import path from 'node:path'

/** The one code block of the README in this language that has this text in it. */
export function readReadmeBlock(language: string, text: string): string {
  const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name, code]) => name === language && code?.includes(text))
    .map(([, , code]) => code ?? '')
  if (blocks.length !== 1) throw new Error(`The README has ${blocks.length} blocks of ${language} with ${text}`)
  return blocks[0] ?? ''
}
