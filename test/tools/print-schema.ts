// npm run schema: prints the SDL into schema/schema.graphql, and the types of the operations for
// the console.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { printSdl } from '../../src/graphql/schema.ts'
import { printOperationTypes } from '../support/operation-types.ts'

const root = path.join(import.meta.dirname, '../..')
writeFileSync(path.join(root, 'schema/schema.graphql'), printSdl())
writeFileSync(path.join(root, 'src/console/operation-types.ts'), await printOperationTypes())
