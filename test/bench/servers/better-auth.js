// better-auth with its session cache, which its documentation advises for production. Its rate
// limiter is off: it would refuse the requests of the benchmark.
import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import pg from 'pg'

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
const auth = betterAuth({
  database,
  baseURL: `http://127.0.0.1:${process.env.PORT}`,
  secret: process.env.SECRET,
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: true, maxAge: 3_600 } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
})
const { runMigrations } = await getMigrations(auth.options)
await runMigrations()
const body = { email: 'mara@example.com', password: process.env.SECRET, name: 'mara-holt' }
const { user } = await auth.api.signUpEmail({ body })
for (const id of ['1', '2'])
  await database.query(
    `insert into account (id, "accountId", "providerId", "userId", "accessToken", "refreshToken", scope,
      "accessTokenExpiresAt", "createdAt", "updatedAt")
    values ($1, $1, 'twitter', $2, 'access', 'refresh', 'tweet.read', now() + interval '2 hours', now(), now())`,
    [id, user.id],
  )
createServer(toNodeHandler(auth)).listen(process.env.PORT, '127.0.0.1')
