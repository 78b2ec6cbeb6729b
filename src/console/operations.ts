/**
 * The published operations by name: `operations.PostTweet` is the text of
 * schema/operations/post-tweet.graphql. The exports are plain values, because the server writes
 * them into the module that the browser loads instead of this one.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const folder = path.join(import.meta.dirname, '../../schema/operations')

export const operations: Readonly<Record<string, string>> = Object.fromEntries(
  readdirSync(folder)
    .filter((file) => file.endsWith('.graphql'))
    .map((file) => {
      const document = readFileSync(path.join(folder, file), 'utf8')
      const name = /^(?:query|mutation|subscription)\s+(\w+)/m.exec(document)?.[1]
      if (name === undefined) throw new Error(`Bug: ${file} has no named operation`)
      return [name, document]
    }),
)
