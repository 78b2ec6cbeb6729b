// Checks the history of a scenario against these invariants:
// (a) no refresh token is sent by two requests at once;
// (b) no connection stops working without its user being told;
// (c) no account has more versions of its tokens than X has issued pairs;
// (d) a connection needs its user if and only if a token pair was lost, with the right reason;
// (e) no log contains a secret;
// (f) no idempotency key is posted twice;
// (h) the positions of each user's events have no hole.
// Recovery adds (g): every account refreshes within two lease times after the last fault.
// The followers add (i): who polls, streams or receives gets each event, none twice and none late.
import type { Arena } from './arena.ts'
import type { Post } from './callers.ts'
import type { AccountView } from './snapshot.ts'

/** The figures of one scenario, and a sentence for each broken invariant. */
export type Verdict = {
  refreshes: number
  concurrentSends: number
  replays: number
  silentlyDead: number
  lost: number
  lostAndDetected: number
  posts: number
  tweets: number
  tweetsPerKey: number
  statuses: Record<string, number>
  broken: string[]
}

type TweetRow = { text: string; status: string; errorCode: string | null; xTweetId: string | null }

/** Judges the time between two snapshots, both taken while no request was open. */
export async function judge(
  arena: Arena,
  before: readonly AccountView[],
  after: readonly AccountView[],
  posts: readonly Post[],
): Promise<Verdict> {
  const broken: string[] = []
  const { control } = arena.sandbox
  if (control.concurrentSends() > 1)
    broken.push(`(a) ${control.concurrentSends()} requests sent one refresh token at once. ${describeResends(arena)}`)
  const accounts = judgeAccounts(before, after, broken)
  const tweets = await judgePosts(arena, posts, broken)
  await judgeEvents(arena, broken)
  judgeLogs(arena, broken)
  const { crashes, uncleanEnds } = arena.fleet.counts
  if (crashes > 0) broken.push(`${crashes} processes ended by themselves: ${findFatal(arena)}`)
  if (uncleanEnds > 0) broken.push(`${uncleanEnds} processes did not end cleanly on SIGTERM.`)
  return { ...accounts, ...tweets, concurrentSends: control.concurrentSends(), posts: posts.length, broken }
}

function judgeAccounts(before: readonly AccountView[], after: readonly AccountView[], broken: string[]) {
  const sums = { refreshes: 0, replays: 0, silentlyDead: 0, lost: 0, lostAndDetected: 0 }
  for (const now of after) {
    const then = before.find(({ account }) => account.accountId === now.account.accountId)
    if (then === undefined) throw new Error('Bug: the earlier snapshot has no such account')
    const name = `@${now.account.username}`
    const refreshes = now.x.refreshes - then.x.refreshes
    // Orphaned tokens help only while they can still be adopted.
    const waiting = now.status === 'NEEDS_REAUTH' ? 0 : now.orphans
    // Adopted tokens have their own version, and are proved only by a refresh that X accepts.
    const unproved = now.cause === 'ORPHAN_ADOPTED' ? 1 : 0
    const lost = refreshes - (now.version - then.version) - waiting + unproved
    sums.refreshes += refreshes
    sums.replays += now.x.replays - then.x.replays
    sums.lost += lost
    const isTold = now.status === 'NEEDS_REAUTH' && now.statusReason === 'REFRESH_LOST'
    if (lost < 0) broken.push(`(c) ${name} has more versions than X has issued pairs.`)
    if (lost > 0 && (isTold || now.state === 'UNCERTAIN')) sums.lostAndDetected += lost
    if (lost > 0 && !isTold && now.state !== 'UNCERTAIN')
      broken.push(`(d) ${name} lost a token pair, and its user is not told: ${describe(now)}`)
    if (lost === 0 && now.status === 'NEEDS_REAUTH')
      broken.push(`(d) ${name} lost no token pair, and its user has to connect it again: ${describe(now)}`)
    if (now.status === 'NEEDS_REAUTH' && !isTold)
      broken.push(`(d) ${name} has another reason than REFRESH_LOST: ${describe(now)}`)
    if (
      now.status !== 'NEEDS_REAUTH' &&
      now.state === 'ACTIVE' &&
      !now.leased &&
      now.refreshToken !== now.x.refreshToken
    ) {
      sums.silentlyDead += 1
      broken.push(`(b) ${name} does not work, and its user is not told: ${describe(now)}`)
    }
  }
  return sums
}

function findFatal({ fleet }: Arena): string {
  const lines = fleet.readLogs().split('\n')
  return lines.filter((line) => line.includes('"level":"fatal"') || !line.startsWith('{')).join('\n')
}

/**
 * When X received tokens that were sent more than once, for comparison with the times of the
 * faults.
 */
function describeResends({ sandbox }: Arena): string {
  const sends = sandbox.control.received({ method: 'POST', path: '/2/oauth2/token' })
  const byToken = Map.groupBy(sends, ({ body }) => JSON.stringify(body))
  const again = [...byToken.values()].filter((same) => same.length > 1)
  return again.map((same) => same.map(({ at, acted, status }) => `${at} ${acted} ${status}`).join(', ')).join('; ')
}

function describe({ status, statusReason, state, version, x }: AccountView): string {
  return JSON.stringify({ status, statusReason, state, version, refreshes: x.refreshes, ended: x.ended })
}

async function judgePosts(arena: Arena, posts: readonly Post[], broken: string[]) {
  const rows = await arena.sql<TweetRow[]>`
    select text, status, error_code as "errorCode", x_tweet_id as "xTweetId" from tweets`
  const byText = new Map(rows.map((row) => [row.text, row]))
  const atX = Map.groupBy(arena.sandbox.control.tweets(), (tweet) => tweet.sentText)
  const statuses: Record<string, number> = {}
  let tweets = 0
  let tweetsPerKey = 0
  for (const { key, text, result } of posts) {
    const row = byText.get(text)
    const sent = atX.get(text) ?? []
    const status = row === undefined ? 'no row' : row.status === 'FAILED' ? `FAILED ${row.errorCode}` : row.status
    statuses[status] = (statuses[status] ?? 0) + 1
    tweets += sent.length
    tweetsPerKey = Math.max(tweetsPerKey, sent.length)
    if (sent.length > 1) broken.push(`(f) ${key} was posted ${sent.length} times.`)
    if (row?.status === 'POSTED' && sent[0]?.id !== row.xTweetId)
      broken.push(`${key} is POSTED, and X has no such tweet.`)
    if (row?.status === 'FAILED' && sent.length > 0) broken.push(`${key} is FAILED (${row.errorCode}), and X has it.`)
    if (row === undefined && sent.length > 0) broken.push(`${key} has no row, and X has it.`)
    if (result.kind === 'tweet' && result.status === 'POSTED' && row?.status !== 'POSTED')
      broken.push(`${key} was reported as POSTED, and its status is ${row?.status ?? 'missing'}.`)
  }
  return { tweets, tweetsPerKey, statuses }
}

// Every token and code of the sandbox's X ends in its kind, which has the same base64 in all of
// them.
const TOKEN_TAILS = ['at', 'rt', 'ac'].map((kind) => Buffer.from(`:1:0:${kind}:1`).toString('base64url'))

// Nothing is swept meanwhile, so each user's events have all positions up to the counter.
async function judgeEvents({ sql }: Arena, broken: string[]): Promise<void> {
  const users = await sql<{ userId: string; last: number; events: number; highest: number }[]>`
    select p.user_id as "userId", p.position::int as last, count(e.id)::int as events,
      coalesce(max(e.position), 0)::int as highest
    from event_positions p left join events e on e.user_id = p.user_id
    group by p.user_id, p.position`
  for (const { userId, last, events, highest } of users)
    if (events !== last || highest !== last)
      broken.push(`(h) User ${userId} has ${events} events up to position ${highest}, and the counter is at ${last}.`)
}

function judgeLogs(arena: Arena, broken: string[]): void {
  const logs = arena.fleet.readLogs()
  const known = arena.sandbox.control.grants().find((grant) => grant.refreshToken !== null)?.refreshToken ?? null
  if (known !== null && !TOKEN_TAILS.some((tail) => known.endsWith(tail)))
    throw new Error('Bug: the tokens of the sandbox have another format')
  if (logs === '') throw new Error('Bug: the gateways logged nothing')
  for (const secret of [...TOKEN_TAILS, ...arena.secrets]) {
    const at = logs.indexOf(secret)
    if (at !== -1) broken.push(`(e) A log contains a secret after: ${logs.slice(Math.max(0, at - 200), at)}…`)
  }
}
