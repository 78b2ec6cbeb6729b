import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const folder = path.join(import.meta.dirname, '../../schema/operations')

/** Every published operation: its file's name and its text. */
export function listOperations(): { file: string; document: string }[] {
  return readdirSync(folder).map((file) => ({ file, document: readFileSync(path.join(folder, file), 'utf8') }))
}

/** The published operation with this name: `readOperation('post-tweet')`. */
export function readOperation(name: string): string {
  return readFileSync(path.join(folder, `${name}.graphql`), 'utf8')
}
