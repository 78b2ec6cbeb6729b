// The least of a start on the embedded database: Node, and PGlite's own open.
import { createServer } from 'node:http'
import { PGlite } from '@electric-sql/pglite'

const database = await PGlite.create({ dataDir: process.env.DIRECTORY })
await database.query('select 1')
createServer((_, response) => response.end()).listen(process.env.PORT, '127.0.0.1')
