// 500 callers at all processes at once, on one account whose access token has just expired.

import { connectAccounts } from './accounts.ts'
import { openArena } from './arena.ts'
import { postWithEach } from './callers.ts'
import { productionPace } from './fast-timing.ts'
import { exactly, type Figure } from './figures.ts'
import { plantDistance } from './nemesis.ts'
import type { Randomness } from './randomness.ts'

export async function runCrowd(
  { processes, callers }: { processes: number; callers: number },
  random: Randomness,
): Promise<Figure[]> {
  await using arena = await openArena({ processes, pace: productionPace, random })
  await arena.fleet.startAll()
  const [account] = await connectAccounts(arena, 1)
  if (account === undefined) throw new Error('Bug: no account was connected')
  const { control } = arena.sandbox
  control.expireAccessToken(account.username)
  await arena.sql`update oauth_tokens set access_expires_at = clock_timestamp() - interval '1 second'`
  plantDistance(arena)
  const posts = await postWithEach(arena, Array<typeof account>(callers).fill(account), 'crowd')
  const posted = posts.filter(({ result }) => result.kind === 'tweet' && result.status === 'POSTED')
  const what = `${callers} callers over ${processes} processes with one expired token`
  return [
    exactly(`${what}: token calls`, 1, control.countTokenCalls('refresh_token')),
    exactly(`${what}: responses`, callers, posted.length),
    exactly(`${what}: tweets`, callers, control.tweets(account.username).length),
  ]
}
