// The limit: node:http, one hand-written SQL join, JSON.stringify. It protects nothing.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import postgres from 'postgres'
import { parseTokenOwner } from '../../../src/auth/api-token-format.ts'
import { sessionKey, statements, toAccount } from './statements.js'

const sql = postgres(process.env.DATABASE_URL, { max: 10 })
const run = (name, values) => sql.unsafe(statements[name], values, { prepare: true })

const routes = {
  '/': async () => null,
  '/accounts': async ({ cookie }) => ({
    connectedAccounts: (await run('accountsBySession', sessionKey(cookie))).map(toAccount),
  }),
  '/accounts-by-token': async ({ authorization }) => ({
    connectedAccounts: (await run('accountsByApiToken', apiTokenKey(authorization.slice(7)))).map(toAccount),
  }),
  '/viewer': async ({ cookie }) => ({ viewer: (await run('userBySession', sessionKey(cookie)))[0] }),
  '/tweets': async ({ cookie }) => {
    const rows = await run('tweetsBySession', sessionKey(cookie))
    const nodes = rows
      .slice(0, 20)
      .map((row) => ({ id: row.id, text: row.text, status: row.status, createdAt: row.created_at }))
    return { tweets: { nodes, pageInfo: { hasNextPage: rows.length > 20 } } }
  },
}

createServer(async (request, response) => {
  request.resume()
  const data = await routes[request.url](request.headers)
  const body = JSON.stringify({ data })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}).listen(process.env.PORT, '127.0.0.1')

function apiTokenKey(secret) {
  return [parseTokenOwner(secret), createHash('sha256').update(secret).digest('hex')]
}
