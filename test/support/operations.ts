import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Operations } from '../../src/console/operation-types.ts'

const folder = path.join(import.meta.dirname, '../../schema/operations')

type OperationName<File extends string> = File extends `${infer Word}-${infer Rest}`
  ? `${Capitalize<Word>}${OperationName<Rest>}`
  : Capitalize<File>

// A mutation is null only beside a top-level error, which graphql-request throws.
type Data<Name extends keyof Operations> = Operations[Name][2] extends 'mutation'
  ? { [Field in keyof Operations[Name][1]]: NonNullable<Operations[Name][1][Field]> }
  : Operations[Name][1]

/** The data that the published operation in this file returns: `OperationData<'post-tweet'>`. */
export type OperationData<File extends string> =
  OperationName<File> extends infer Name extends keyof Operations ? Data<Name> : unknown

/** Returns the file name and text of every published operation. */
export function listOperations(): { file: string; document: string }[] {
  return readdirSync(folder).map((file) => ({ file, document: readFileSync(path.join(folder, file), 'utf8') }))
}

/** Returns the text of a published operation: `readOperation('post-tweet')`. */
export function readOperation(name: string): string {
  return readFileSync(path.join(folder, `${name}.graphql`), 'utf8')
}
