import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const folder = path.join(import.meta.dirname, '../../schema/operations')

/** Returns the file name and text of every published operation. */
export function listOperations(): { file: string; document: string }[] {
  return readdirSync(folder).map((file) => ({ file, document: readFileSync(path.join(folder, file), 'utf8') }))
}

/** Returns the text of a published operation: `readOperation('post-tweet')`. */
export function readOperation(name: string): string {
  return readFileSync(path.join(folder, `${name}.graphql`), 'utf8')
}
