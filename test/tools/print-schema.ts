// npm run schema: prints the SDL into schema/schema.graphql.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { printSdl } from '../../src/graphql/schema.ts'

writeFileSync(path.join(import.meta.dirname, '../../schema/schema.graphql'), printSdl())
