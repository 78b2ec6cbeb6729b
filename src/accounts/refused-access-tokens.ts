// Access tokens that X refuses moments after it has issued them, as it does while it refuses a
// whole app. Another refresh would bring another such token, and spend a refresh token for each
// post: so the refusal is remembered with the pair, for all instances.
import { and, eq, gt, isNull, ne, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

// An account that nobody posts with says nothing more, however X judges its token by now.
const COUNTED_SECONDS = 3_600

/**
 * Remembers that X refused the access token of the pair that has `version`, which it had just
 * issued. Never throws.
 */
export async function recordRefusedAccessToken(deps: Deps, accountId: string, version: number): Promise<void> {
  try {
    const [noted] = await deps.db
      .update(oauthTokens)
      .set({ accessRefusedAt: deps.clock.sqlNow() })
      .where(
        and(
          eq(oauthTokens.accountId, accountId),
          eq(oauthTokens.version, version),
          isNull(oauthTokens.accessRefusedAt),
        ),
      )
      .returning({ accountId: oauthTokens.accountId })
    if (noted !== undefined) deps.log.warn({ accountId }, 'X refused an access token that it had just issued')
  } catch (error) {
    deps.log.warn({ error, accountId }, 'Could not remember that X refused an access token that it had just issued')
  }
}

/**
 * Remembers that X has accepted it. Never throws: what X did by it is the caller's to write down.
 */
export async function recordAcceptedAccessToken(deps: Deps, accountId: string, version: number): Promise<void> {
  try {
    await deps.db
      .update(oauthTokens)
      .set({ accessUnproven: false, accessRefusedAt: null })
      .where(and(eq(oauthTokens.accountId, accountId), eq(oauthTokens.version, version)))
  } catch (error) {
    deps.log.warn({ error, accountId }, 'Could not remember that X has accepted an access token')
  }
}

/**
 * How many accounts' new access tokens X has refused within the last hour and not accepted since;
 * `except` is not counted.
 */
export async function countRefusedAccessTokens(
  deps: Deps,
  except: string | null = null,
): Promise<{ accounts: number; since: Date | null }> {
  const [found] = await deps.db
    .select({
      accounts: sql<number>`count(*)::int`,
      since: sql<Date | null>`min(${oauthTokens.accessRefusedAt})`.mapWith(oauthTokens.accessRefusedAt),
    })
    .from(oauthTokens)
    .where(
      and(
        gt(oauthTokens.accessRefusedAt, sqlIn(deps.clock, -COUNTED_SECONDS)),
        except === null ? undefined : ne(oauthTokens.accountId, except),
      ),
    )
  return { accounts: found?.accounts ?? 0, since: found?.since ?? null }
}
