import { randomBytes } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import {
  connectedAccounts,
  events,
  idempotencyKeys,
  OPERATOR_ID,
  sessions,
  tweets,
  userIdentities,
  userLogins,
  users,
} from '../../src/db/tables.ts'
import { createTestDatabase } from '../support/database.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { xconnect } from '../support/xconnect.ts'

const MARA = '11111111-1111-4111-8111-111111111111'
const TOMASZ = '22222222-2222-4222-8222-222222222222'
const ACCOUNT = '33333333-3333-4333-8333-333333333333'
const TWEET = '44444444-4444-4444-8444-444444444444'

test('E-12 xconnect administers users, accounts, tweets and jobs, and prints one JSON object per line', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const directory = resources.use(await makeTemporaryDirectory('administration-command'))
  const environment = {
    ...database.environment,
    DATA_DIR: directory.path,
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  }
  const run = (...words: string[]) => xconnect(environment, ...words)
  const linesOf = ({ stdout }: { stdout: string }) =>
    stdout
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  expect(await run('user', 'list')).toEqual({ code: 0, stdout: '', stderr: 'There are none.\n' })

  const opened = openPostgres(database.environment.DATABASE_URL ?? '')
  resources.defer(() => opened.close())
  const { db } = opened
  const now = new Date()
  await db.insert(users).values([
    { id: MARA, githubId: 1, login: 'mara-holt' },
    { id: TOMASZ, githubId: 2, login: 'tomasz-k', name: 'T\x1b]0;\u202e\x9b2J\nblockedAt  -' },
  ])
  await db.insert(userIdentities).values([
    { githubId: 1, userId: MARA },
    { githubId: 2, userId: TOMASZ },
  ])
  await db.insert(userLogins).values([
    { login: 'mara-holt', userId: MARA },
    { login: 'tomasz-k', userId: TOMASZ },
  ])
  await db
    .insert(sessions)
    .values({ id: 'a'.repeat(64), userId: MARA, expiresAt: new Date(Date.now() + 1e9), createdAt: now })
  await db.insert(connectedAccounts).values({
    userId: MARA,
    id: ACCOUNT,
    provider: 'X',
    providerAccountId: '42',
    username: 'MaraHolt',
    scopes: ['tweet.read', 'users.read', 'tweet.write'],
    status: 'ACTIVE',
    statusSince: now,
    connectedAt: now,
  })
  await db.insert(tweets).values({
    userId: MARA,
    id: TWEET,
    accountId: ACCOUNT,
    text: 'a text of the user',
    status: 'UNKNOWN',
    errorCode: 'OUTCOME_UNKNOWN',
    claimedUntil: now,
    unknownSince: now,
    timelineReads: 3,
    createdAt: now,
  })

  const listed = await run('user', 'list', '--json')
  expect(linesOf(listed)).toMatchObject([{ id: MARA, login: 'mara-holt', blockedAt: null }, { id: TOMASZ }])
  const first = await run('user', 'list', '--limit', '1', '--json')
  expect(linesOf(first)).toHaveLength(1)
  expect(first.stderr).toBe(`There are more: add --after ${MARA}\n`)
  expect(linesOf(await run('user', 'list', '--limit', '1', '--after', MARA, '--json'))).toMatchObject([{ id: TOMASZ }])
  expect((await run('user', 'list', '--login', 'MARA-HOLT')).stdout).toMatch(
    new RegExp(`^${MARA}  ACTIVE .* mara-holt\n$`),
  )
  expect(linesOf(await run('user', 'show', '@maraholt', '--json'))).toMatchObject([
    { id: MARA, accounts: [{ id: ACCOUNT, username: 'MaraHolt' }] },
  ])
  // A name that others chose moves no cursor and forges no line.
  const tomasz = (await run('user', 'show', 'tomasz-k')).stdout
  expect(tomasz).toContain('T\\u001b]0;\\u202e\\u009b2J\\u000ablockedAt  -\n')
  const [asJson] = linesOf(await run('user', 'show', 'tomasz-k', '--json'))
  expect(asJson?.name).toBe('T\x1b]0;\u202e\x9b2J\nblockedAt  -')
  expect((await run('user', 'list', '--json')).stdout).not.toContain('\u202e')
  expect((await run('account', 'list', '--user', 'mara-holt')).stdout).toContain('@MaraHolt')
  expect(linesOf(await run('account', 'show', ACCOUNT, '--json'))).toMatchObject([{ id: ACCOUNT, userId: MARA }])
  const unknown = await run('tweet', 'list', '--status', 'unknown', '--json')
  expect(linesOf(unknown)).toMatchObject([{ id: TWEET, userId: MARA, status: 'UNKNOWN', timelineReads: 3 }])
  expect(unknown.stdout).not.toContain('a text of the user')
  expect(linesOf(await run('stats', '--json'))).toMatchObject([
    { users: { count: 2, isExact: true }, accounts: { count: 1 }, unknownTweets: { count: 1 } },
  ])

  // Nobody is there to confirm.
  const refused = await run('user', 'block', 'mara-holt')
  expect(refused).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^Nobody can be asked here: add --yes/),
  })
  expect((await db.select().from(users).where(eq(users.id, MARA)))[0]?.blockedAt).toBeNull()

  const blocked = await run('user', 'block', 'mara-holt', '--as', 'Night shift', '--yes')
  expect(blocked).toMatchObject({ code: 0, stderr: expect.stringMatching(/^mara-holt is blocked\./) })
  expect(await db.select().from(sessions)).toEqual([])
  expect((await run('user', 'list', '--login', 'mara-holt')).stdout).toContain('BLOCKED')
  expect((await run('user', 'unblock', MARA)).code).toBe(0)
  expect((await run('user', 'sign-out', MARA, '--yes')).stderr).toBe('mara-holt is signed out of 0 sessions.\n')

  const reconciled = await run('tweet', 'reconcile', TWEET, '--user', MARA, '--yes')
  expect(reconciled).toMatchObject({ code: 0, stderr: expect.stringMatching(/^A gateway looks for the tweet\./) })
  const [job] = linesOf(await run('job', 'list', 'reconcile-tweet', '--json'))
  expect(job).toMatchObject({ queue: 'reconcile-tweet', status: 'WAITING', userId: MARA, objectId: TWEET })
  expect((await run('job', 'retry', 'reconcile-tweet', String(job?.id), '--yes')).code).toBe(0)

  expect((await run('account', 'disconnect', ACCOUNT, '--yes')).stderr).toMatch(/^@MaraHolt is disconnected\./)
  expect(await db.select().from(connectedAccounts)).toMatchObject([
    { status: 'DISCONNECTED', statusReason: 'DISCONNECTED_BY_OPERATOR' },
  ])
  expect((await run('user', 'delete', 'tomasz-k', '--yes')).stderr).toMatch(/^tomasz-k has no access any more\./)
  expect(await db.select().from(userIdentities)).toEqual([{ githubId: 1, userId: MARA }])

  const tail = await run('event', 'tail', '--once', '--json', '--last', '20')
  expect(linesOf(tail).map(({ type }) => type)).toEqual([
    'operator.user_blocked',
    'operator.user_unblocked',
    'operator.user_signed_out',
    'operator.tweet_reconciled',
    'operator.job_retried',
    'operator.account_disconnected',
    'operator.user_deleted',
  ])
  expect(linesOf(tail)[0]).toMatchObject({ userId: MARA, actor: 'command:Night shift' })
  expect(linesOf(tail)[1]).toMatchObject({ actor: expect.stringMatching(/^command:./) })
  expect(linesOf(await run('event', 'tail', '--once', '--json', '--last', '1'))).toMatchObject([
    { type: 'operator.user_deleted' },
  ])
  const stored = await db.select().from(events).where(eq(events.userId, OPERATOR_ID))
  expect(stored.every(({ actor }) => actor !== null)).toBe(true)
  expect(await db.select().from(idempotencyKeys)).toEqual([])

  for (const [words, code, said] of [
    [['user', 'show', 'nobody'], 1, /^There is no such user/],
    [['user', 'block', crypto.randomUUID(), '--yes'], 1, /^There is no such user/],
    [['user', 'paint', MARA], 2, /^Usage:/],
    [['user', 'list', '--limit', '0'], 2, /^--limit takes a number/],
    [['account', 'show', 'x'], 1, /^There is no account with this id/],
    [['tweet', 'list'], 2, /^Give --status unknown or --user\./],
    [['tweet', 'show', TWEET], 2, /^--user is missing/],
    [['tweet', 'reconcile', crypto.randomUUID(), '--user', MARA, '--yes'], 1, /^This user has no tweet/],
    [['job', 'list', 'paint'], 2, /^The queues are revoke-grant/],
    [['job', 'retry', 'revoke-grant', crypto.randomUUID(), '--yes'], 1, /^This queue has no job/],
    [['event', 'head'], 2, /^Usage:/],
    [['stats', '--all'], 2, /^Usage:/],
    [['invite', 'revoke', crypto.randomUUID()], 1, /^There is no open invite/],
    [['invite', 'create', '--as', ''], 2, /^--as takes a name/],
    [['invite', 'create', '--as', 'Mara\u202e'], 2, /^--as takes a name/],
  ] as const)
    expect(await run(...words), words.join(' ')).toEqual({ code, stdout: '', stderr: expect.stringMatching(said) })

  const invited = await run('invite', 'create', '--note', 'for Yuki', '--as', 'Day shift')
  expect(invited).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^http:\/\/127\.0\.0\.1:3000\/auth\/github\?invite=[\w-]{43}\n$/),
  })
  const [invite] = linesOf(await run('invite', 'list', '--json'))
  expect(invite).toMatchObject({ note: 'for Yuki', createdBy: 'command:Day shift' })
  expect((await run('invite', 'revoke', String(invite?.id))).code).toBe(0)
  expect((await run('invite', 'list')).stdout).toBe('')
}, 300_000)
