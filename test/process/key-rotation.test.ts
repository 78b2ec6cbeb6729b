// Encryption keys are replaced at two instances of one deployment: in the documented order, in which
// nothing fails, and in the wrong one, in which nothing is lost.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import { Webhook } from 'standardwebhooks'
import { expect, test, vi } from 'vitest'
import { sealedKeyId } from '../../src/crypto.ts'
import { openPostgres } from '../../src/db/client.ts'
import { connectedAccounts, oauthTokens, webhookDeliveries } from '../../src/db/tables.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { findFreePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'
import { startReceiver, webhooksOf } from '../support/webhook-receiver.ts'
import { xconnect } from '../support/xconnect.ts'

type Instance = { url: string; process: GatewayProcess }

// X accepts 100 posts of an account in a quarter of an hour.
const PAUSE_MILLISECONDS = 1_500

const newKey = (id: string) => `${id}:${randomBytes(32).toString('base64')}`

/** A deployment of two instances that start with these keys. */
async function startDeployment(resources: AsyncDisposableStack, keys: readonly [string, string]) {
  const ports = [await findFreePort(), await findFreePort()]
  const publicUrl = `http://127.0.0.1:${ports[0]}`
  const { sandbox, connectionString, environment } = await createSandboxSite(resources, publicUrl)
  const opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  const variables = { ...environment, RATE_LIMITS: generousLimits, WEBHOOK_EGRESS: 'loopback' }
  const start = async (number: number, keys: string): Promise<Instance> => {
    const url = `http://127.0.0.1:${ports[number]}`
    const process = startGatewayProcess({ ...variables, PORT: String(ports[number]), ENCRYPTION_KEYS: keys })
    resources.defer(async () => void (await process.stop()))
    await process.ready(url)
    return { url, process }
  }
  const instances = [await start(0, keys[0]), await start(1, keys[1])]
  return {
    sandbox,
    db: opened.db,
    instances,
    /** Opens a browser at an instance, with the cookies of another browser. */
    openAt: (url: string, cookies: Iterable<[string, string]> = []) => {
      const browser = openBrowser(url)
      resources.defer(() => browser.close())
      for (const [name, value] of cookies) browser.cookies.set(name, value)
      return browser
    },
    restart: async (number: number, keys: string) => {
      expect(await instances[number]?.process.stop()).toBe(0)
      instances[number] = await start(number, keys)
    },
    command: (keys: string, ...words: string[]) => xconnect({ ...variables, ENCRYPTION_KEYS: keys }, ...words),
  }
}

/** Signs in at one instance up to GitHub's redirect, which arrives at another. */
async function startSignIn(browser: Browser, login: string): Promise<string> {
  const start = await browser.request('/auth/github')
  const callback = new URL(await browser.consent(start.headers.get('location') ?? '', login))
  return `${callback.pathname}${callback.search}`
}

const post = async (browser: Browser, input: Record<string, unknown>) =>
  (await browser.api('post-tweet', { input })).postTweet

test('E-04 keys that are replaced in the documented order at two instances fail no post, refresh, sign-in or webhook', {
  timeout: 600_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const [k1, k2] = [newKey('k1'), newKey('k2')]
  const { sandbox, db, instances, openAt, restart, command } = await startDeployment(resources, [k1, k1])
  const receiver = await startReceiver()
  resources.defer(() => receiver.close())
  // A load balancer sends requests to those that are not being restarted.
  const serving = new Set([0, 1])
  let requests = 0
  const nextUrl = () => instances[[...serving][requests++ % serving.size] ?? 0]?.url ?? ''

  const first = openAt(nextUrl())
  await first.signIn('mara-holt')
  expect(await first.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  const { secret } = await webhooksOf(first).create({ url: receiver.url, types: ['TWEET_POSTED'] })
  // Every post refreshes.
  sandbox.control.setAccessTokenSeconds(60)
  await db.update(oauthTokens).set({ accessExpiresAt: sql`clock_timestamp() - interval '1 minute'` })

  let isOver = false
  const failures: unknown[] = []
  const inFlight = new Set<Promise<unknown>>()
  const done = { posts: 0, signIns: 0 }
  const attempt = async (work: () => Promise<void>) => {
    const running = work().catch((error: unknown) => failures.push(error))
    inFlight.add(running)
    await running
    inFlight.delete(running)
  }
  const postOnce = async () => {
    const { tweet, userErrors } = await post(openAt(nextUrl(), first.cookies), { text: `Number ${done.posts}` })
    if (tweet?.status !== 'POSTED') failures.push({ tweet, userErrors })
    done.posts += 1
  }
  const signInOnce = async () => {
    const start = openAt(nextUrl())
    const callback = await startSignIn(start, 'tomasz-k')
    const { outcome, code } = await openAt(nextUrl(), start.cookies).finish(callback)
    if (outcome !== 'succeeded') failures.push({ outcome, code })
    done.signIns += 1
  }
  const traffic = [postOnce, signInOnce].map(async (work) => {
    while (!isOver) {
      await attempt(work)
      await sleep(PAUSE_MILLISECONDS)
    }
  })
  /** Lets each kind of request happen at least twice more. */
  const letTrafficPass = async () => {
    const { posts, signIns } = done
    await vi.waitFor(
      () => {
        expect(failures).toEqual([])
        expect(Math.min(done.posts - posts, done.signIns - signIns)).toBeGreaterThan(1)
      },
      { timeout: 60_000 },
    )
  }
  const restartAll = async (keys: string) => {
    for (const number of [0, 1]) {
      serving.delete(number)
      // What was sent to it before.
      await Promise.all(inFlight)
      await restart(number, keys)
      serving.add(number)
      await letTrafficPass()
    }
  }

  try {
    await letTrafficPass()
    await restartAll(`${k1},${k2}`)
    // Nothing is encrypted with the new key yet.
    expect(await sealedIds(db)).toEqual(['k1'])
    expect(await command(`${k2},${k1}`, 'keys', 'rotate')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^2 of 2 running instances encrypt with another key than "k2"/),
    })
    await restartAll(`${k2},${k1}`)
    await vi.waitFor(
      async () => {
        const { code, stdout } = await command(`${k2},${k1}`, 'keys', 'rotate')
        expect(code).toBe(0)
        expect(stdout).toContain('No longer needed; remove from the configuration: "k1".')
      },
      { timeout: 120_000, interval: 1_000 },
    )
    await restartAll(k2)
  } finally {
    isOver = true
    await Promise.all(traffic)
  }
  expect(failures).toEqual([])
  expect(await sealedIds(db)).toEqual(['k2'])
  expect(sandbox.control.tweets('maraholt')).toHaveLength(done.posts)
  expect(sandbox.control.grants('maraholt')).toMatchObject([{ live: true, replays: 0 }])
  await vi.waitFor(() => expect(receiver.received).toHaveLength(done.posts), { timeout: 60_000 })
  for (const { body, headers } of receiver.received)
    expect(() => new Webhook(secret).verify(body, headers)).not.toThrow()
  expect(new Set((await db.select().from(webhookDeliveries)).map(({ lastError }) => lastError))).toEqual(
    new Set([null]),
  )
})

test('E-05 an instance that lacks a key responds 503, names the key, and loses nothing', {
  timeout: 300_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const [k1, k2] = [newKey('k1'), newKey('k2')]
  const { sandbox, db, instances, openAt, restart, command } = await startDeployment(resources, [k1, k1])
  const receiver = await startReceiver()
  resources.defer(() => receiver.close())
  const [hasBoth = '', lacks = ''] = instances.map(({ url }) => url)
  // The wrong order: the new key is first at one instance, and the other does not have it.
  await restart(0, `${k2},${k1}`)
  expect(instances[0]?.process.output()).toMatch(/"keyId":"k2","instances":1,"msg":"Running instances lack/)

  const person = openAt(hasBoth)
  await person.signIn('mara-holt')
  expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  await webhooksOf(person).create({ url: receiver.url, types: ['TWEET_POSTED'] })
  const elsewhere = openAt(lacks, person.cookies)
  const missing = {
    response: { status: 503, errors: [{ extensions: { code: 'ENCRYPTION_KEY_MISSING', retry: 'LATER' } }] },
  }
  const once = { text: 'Once', idempotencyKey: 'the same at both' }
  await expect(post(elsewhere, once)).rejects.toMatchObject(missing)
  await db.update(oauthTokens).set({ accessExpiresAt: sql`clock_timestamp() - interval '1 minute'` })
  await expect(post(elsewhere, once)).rejects.toMatchObject(missing)
  const [account] = await db.select().from(connectedAccounts)
  expect(account).toMatchObject({ status: 'ACTIVE', statusReason: null })
  expect(await db.select().from(oauthTokens)).toMatchObject([{ state: 'ACTIVE', leaseId: null, sentAt: null }])
  await expect(elsewhere.api('disconnect-account', { input: { accountId: account?.id } })).rejects.toMatchObject(
    missing,
  )
  const [endpoint] = await webhooksOf(elsewhere).list()
  await expect(webhooksOf(elsewhere).rotate(endpoint?.id ?? '')).rejects.toMatchObject(missing)

  // A sign-in and a connection that reach the instance can be finished at the other one.
  const visitor = openAt(hasBoth)
  const callback = await startSignIn(visitor, 'tomasz-k')
  const refused = await openAt(lacks, visitor.cookies).request(callback)
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('5')
  expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'ENCRYPTION_KEY_MISSING' } }] })
  expect(await visitor.finish(callback)).toMatchObject({ outcome: 'succeeded' })
  const { authorizationUrl } = await visitor.startXConnect()
  const approved = new URL(await visitor.consent(authorizationUrl ?? '', 'tomasz_k'))
  const connected = `${approved.pathname}${approved.search}`
  expect((await openAt(lacks, visitor.cookies).request(connected)).status).toBe(503)
  expect(await visitor.finish(connected)).toMatchObject({ outcome: 'connected' })

  const readiness = await elsewhere.request('/readyz')
  expect(await readiness.json()).toMatchObject({
    status: 'ready',
    problems: [{ code: 'ENCRYPTION_KEY_MISSING', detail: expect.stringContaining('"k2"') }],
  })
  for (const words of [
    ['doctor'],
    ['keys', 'rotate'],
    ['webhook', 'create', '--url', receiver.url],
    ['account', 'disconnect', account?.id ?? '', '--yes'],
    ['database', 'restored', '--nothing-lost'],
  ]) {
    const { code, stdout, stderr } = await command(`${k2},${k1}`, ...words)
    expect(code).toBe(1)
    expect(`${stdout}${stderr}`).toContain('1 of 2 running instances lack the encryption key "k2"')
  }

  // Whichever instance takes the delivery, it is made once and succeeds.
  expect(await post(person, once)).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  await vi.waitFor(
    async () =>
      expect(await db.select().from(webhookDeliveries)).toMatchObject([
        { status: 'DELIVERED', attempts: 1, lastError: null },
      ]),
    { timeout: 120_000, interval: 200 },
  )

  const logged = instances[1]?.process.output() ?? ''
  expect(logged.split('\n').filter((line) => line.includes('lacks an encryption key'))).toEqual([
    expect.stringContaining('"keyId":"k2"'),
  ])
  expect(logged).not.toContain('A request failed with an internal error')
  await restart(1, `${k2},${k1}`)
  expect(await post(elsewhere, once)).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  expect(sandbox.control.tweets('maraholt')).toHaveLength(1)
  expect(await (await elsewhere.request('/readyz')).json()).toMatchObject({ problems: [] })
  expect(await db.select().from(connectedAccounts).where(eq(connectedAccounts.status, 'ACTIVE'))).toHaveLength(2)
})

/** The ids of the keys that have sealed the stored tokens. */
async function sealedIds(db: ReturnType<typeof openPostgres>['db']): Promise<string[]> {
  const rows = await db.select().from(oauthTokens)
  const values = rows.flatMap((row) => [row.accessTokenSealed, row.refreshTokenSealed ?? ''])
  return [...new Set(values.map(sealedKeyId))]
}
