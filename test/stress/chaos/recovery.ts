// After the last fault, every connection must recover without help, as far as it can.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChaosAccount } from './accounts.ts'
import type { Arena } from './arena.ts'
import { type Post, postWithEach } from './callers.ts'
import { type AccountView, isSettledAccount, takeSnapshot } from './snapshot.ts'

export type Recovery = {
  seconds: number
  posts: Post[]
  /** Connections that have not recovered in time. */
  late: AccountView[]
  after: AccountView[]
}

const POLL_MILLISECONDS = 100

/**
 * Uses each account until no lease of a killed process is left on it and, if `refreshed`, it has
 * refreshed once more, or until its user has been told: for up to two lease times.
 */
export async function recover(
  arena: Arena,
  accounts: readonly ChaosAccount[],
  { refreshed }: { refreshed: boolean },
): Promise<Recovery> {
  const startedAt = performance.now()
  const limit = arena.pace.timing.leaseSeconds * 2
  const then = new Map((await takeSnapshot(arena, accounts)).map((view) => [view.account, view.version]))
  const posts: Post[] = []
  for (;;) {
    const after = await takeSnapshot(arena, accounts)
    const late = after.filter(
      (view) =>
        !isSettledAccount(view) ||
        (refreshed && view.status !== 'NEEDS_REAUTH' && view.version <= (then.get(view.account) ?? 0)),
    )
    const seconds = (performance.now() - startedAt) / 1000
    if (late.length === 0 || seconds > limit) return { seconds, posts, late, after }
    const waiting = late.map(({ account }) => account)
    posts.push(...(await postWithEach(arena, waiting, 'recovery')))
    await sleep(POLL_MILLISECONDS)
  }
}

/** Waits until no tweet is PENDING or UNKNOWN. */
export async function waitForDoubts({ sql }: Arena, limitSeconds: number): Promise<void> {
  const giveUpAt = performance.now() + limitSeconds * 1000
  while (performance.now() < giveUpAt) {
    const [open] = await sql`select 1 from tweets where status in ('PENDING', 'UNKNOWN') limit 1`
    if (open === undefined) return
    await sleep(POLL_MILLISECONDS)
  }
}
