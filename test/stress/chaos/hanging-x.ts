// X accepts requests and does not respond: no transaction may stay open meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAccounts } from './accounts.ts'
import { openArena } from './arena.ts'
import { postWithEach } from './callers.ts'
import { productionPace } from './fast-timing.ts'
import { atMost, exactly, type Figure } from './figures.ts'
import type { Randomness } from './randomness.ts'
import { watchTransactions } from './transactions.ts'

const MOST_MILLISECONDS = 100
const MOST_IN_RUSH_MILLISECONDS = 1_000
// Less than a caller's wait for a refresh, and less than the deadline of a call: after either, all
// callers get a result at once.
const HANG_MILLISECONDS = 6_000

/**
 * Posts with all accounts at once while X hangs: at the posts, and, with expired tokens, at the
 * refreshes.
 */
export async function runHangingX(
  { processes, count }: { processes: number; count: number },
  random: Randomness,
): Promise<Figure[]> {
  await using arena = await openArena({ processes, pace: productionPace, random })
  await arena.fleet.startAll()
  const accounts = await connectAccounts(arena, count)
  const { control } = arena.sandbox
  const figures: Figure[] = []
  const hangAt = async (path: string, what: string) => {
    control.clearFaults()
    control.inject({ kind: 'hang', match: { method: 'POST', path }, times: null })
    const received = control.countReceived({ method: 'POST', path })
    const whole = watchTransactions(arena)
    const posting = postWithEach(arena, accounts, 'hang')
    while (control.countReceived({ method: 'POST', path }) < received + count) await sleep(10)
    // From here on all of them wait for X, and nothing else should be slow.
    const waiting = watchTransactions(arena)
    await sleep(HANG_MILLISECONDS)
    const longestWaiting = await waiting.stop()
    const posts = await posting
    const longest = await whole.stop()
    const unanswered = posts.filter(({ result }) => result.kind === 'none').length
    const where = `X hangs at ${what} of ${count} accounts`
    figures.push(
      atMost(`${where}: longest transaction meanwhile`, MOST_MILLISECONDS, longestWaiting, ' ms'),
      atMost(
        `${where}: longest transaction, with the rush before and after`,
        MOST_IN_RUSH_MILLISECONDS,
        longest,
        ' ms',
      ),
      exactly(`${where}: callers without a response`, 0, unanswered),
    )
  }
  await hangAt('/2/tweets', 'posts')
  await arena.sql`update oauth_tokens set access_expires_at = clock_timestamp() - interval '1 second'`
  await hangAt('/2/oauth2/token', 'refreshes')
  return figures
}
