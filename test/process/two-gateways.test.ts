import { randomBytes } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { oauthTokens } from '../../src/db/tables.ts'
import { startSandbox } from '../../src/sandbox/server.ts'
import { type Browser, openBrowser } from '../browser.ts'
import { createTestDatabase } from '../database.ts'
import { findFreePort } from '../free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../gateway-process.ts'
import { generousLimits } from '../generous-limits.ts'
import type { PostedTweet } from '../linked-account.ts'

const xClient = { id: 'x-app', secret: 'x-secret' }
const githubClient = { id: 'github-app', secret: 'github-secret' }

test('50 posts over two gateways on one ended token: one refresh, 50 answers, 50 tweets', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const urls = [`http://127.0.0.1:${await findFreePort()}`, `http://127.0.0.1:${await findFreePort()}`] as const
  const [publicUrl] = urls
  const sandbox = await startSandbox({
    hostname: 'localhost',
    xClient: { ...xClient, redirectUris: [`${publicUrl}/auth/x/callback`] },
    githubClient: { ...githubClient, redirectUris: [`${publicUrl}/auth/github/callback`] },
  })
  resources.defer(() => sandbox.close())
  const environment = {
    ...database.environment,
    SANDBOX: 'off',
    RATE_LIMITS: generousLimits,
    PUBLIC_URL: publicUrl,
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: githubClient.id,
    GITHUB_CLIENT_SECRET: githubClient.secret,
    X_CLIENT_ID: xClient.id,
    X_CLIENT_SECRET: xClient.secret,
    GITHUB_URL: sandbox.url,
    GITHUB_API_URL: sandbox.url,
    X_URL: sandbox.url,
    X_API_URL: sandbox.url,
  }
  // Both at once, as a deployment does it.
  const gateways: GatewayProcess[] = urls.map((url) => startGatewayProcess({ ...environment, PORT: new URL(url).port }))
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))

  const first = openBrowser(urls[0])
  resources.defer(() => first.close())
  await first.signIn('mara-holt')
  expect(await first.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  // The session is in the database, so that the cookie is good at the other gateway too.
  const second = openBrowser(urls[1])
  resources.defer(() => second.close())
  for (const [name, value] of first.cookies) second.cookies.set(name, value)
  expect(await second.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })

  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  const [row] = await opened.db
    .update(oauthTokens)
    .set({ accessExpiresAt: sql`clock_timestamp() - interval '1 minute'` })
    .returning()
  sandbox.control.expireAccessToken('maraholt')
  sandbox.control.inject({
    kind: 'delayAfter',
    milliseconds: 500,
    match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } },
  })

  const post = async (person: Browser, number: number) => {
    const { postTweet } = await person.api<{ postTweet: PostedTweet }>('post-tweet', {
      input: { text: `Number ${number}` },
    })
    return postTweet
  }
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, number) => post(number % 2 === 0 ? first : second, number)),
  )
  expect(answers.map(({ tweet, userErrors }) => tweet?.status ?? userErrors[0]?.code)).toEqual(Array(50).fill('POSTED'))
  expect(sandbox.control.countTokenCalls('refresh_token')).toBe(1)
  expect(sandbox.control.concurrentSends()).toBe(1)
  expect(sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(50)
  expect(new Set(sandbox.control.tweets('maraholt').map(({ text }) => text)).size).toBe(50)
  expect(sandbox.control.grants('maraholt')).toMatchObject([{ live: true, rotations: 1, replays: 0 }])
  const tokens = opened.db
    .select()
    .from(oauthTokens)
    .where(eq(oauthTokens.accountId, row?.accountId ?? ''))
  expect(await tokens).toMatchObject([{ version: 2, state: 'ACTIVE', leaseId: null, sentAt: null }])

  // One key at both gateways at once is one tweet.
  const input = { text: 'Once', idempotencyKey: 'at both' }
  const both = await Promise.all(
    Array.from({ length: 20 }, (_, number) =>
      (number % 2 === 0 ? first : second).api<{ postTweet: PostedTweet }>('post-tweet', { input }),
    ),
  )
  expect(both).toEqual(Array(20).fill(both[0]))
  expect(sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(51)

  expect(await Promise.all(gateways.map((gateway) => gateway.stop()))).toEqual([0, 0])
})
