// X takes requests and says nothing: no transaction of ours may wait with them.
import { openArena } from './arena.ts'
import { postWithEach } from './callers.ts'
import { productionPace } from './fast-timing.ts'
import { atMost, exactly, type Figure } from './figures.ts'
import { linkAccounts } from './links.ts'
import type { Randomness } from './randomness.ts'
import { watchTransactions } from './transactions.ts'

const MOST_MS = 100

/** Posts with all accounts at once while X hangs: first at the posts, then, their tokens ended, at the refreshes. */
export async function runHangingX(
  { processes, accounts }: { processes: number; accounts: number },
  random: Randomness,
): Promise<Figure[]> {
  await using arena = await openArena({ processes, pace: productionPace, random })
  await arena.fleet.startAll()
  const links = await linkAccounts(arena, accounts)
  const { control } = arena.sandbox
  const figures: Figure[] = []
  const hangAt = async (path: string, what: string) => {
    control.clearFaults()
    control.inject({ kind: 'hang', match: { method: 'POST', path }, times: null })
    const transactions = watchTransactions(arena)
    const posts = await postWithEach(arena, links, 'hang')
    const longest = await transactions.stop()
    const unanswered = posts.filter(({ answer }) => answer.kind === 'none').length
    figures.push(
      atMost(`X hangs at ${what} of ${accounts} accounts: longest transaction`, MOST_MS, longest, ' ms'),
      exactly(`X hangs at ${what} of ${accounts} accounts: callers left without an answer`, 0, unanswered),
    )
  }
  await hangAt('/2/tweets', 'posts')
  await arena.sql`update oauth_tokens set access_expires_at = clock_timestamp() - interval '1 second'`
  await hangAt('/2/oauth2/token', 'refreshes')
  return figures
}
