// Refresh tokens of a restored database. A token that was refreshed after the backup is spent, and
// X may revoke a grant whose spent token is sent again (RFC 9700 section 4.14.2). So the access
// token is used while it is valid. Then the refresh token is a probe: one at a time in the whole
// deployment, until X has accepted five in a row; after five refusals in a row, one every ten
// seconds. Each token is probed once: X's response makes the account ACTIVE, or NEEDS_REAUTH with
// DATABASE_RESTORED.
import { and, eq, gt, isNull, lt, lte, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import type { Restore } from '../db/generations.ts'
import { generations, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type AccountKey, isTokensOf } from './account-rows.ts'

/** X's response to a probe; null when X could not be asked. */
export type ProbeResult = 'ACCEPTED' | 'REFUSED' | null

/** A refresh token of before the restore that may be sent now. */
export type Probe = { generation: number; probeId: string }

const ACCEPTED_IN_A_ROW = 5
const REFUSED_IN_A_ROW = 5
const REFUSED_PAUSE_SECONDS = 10
// The clocks of two servers may differ.
const CLOCK_MARGIN_SECONDS = 60

/**
 * Decides whether the refresh token of an account is from before a restore and may be spent, and if
 * so takes the turn to send it.
 * @param accessTokenRejected true when X has rejected the access token, or it has expired.
 * @returns null for a token that was not restored; WAIT while its turn has not come, or its access
 *   token is valid.
 */
export async function beginProbe(
  deps: Deps,
  account: AccountKey,
  accessTokenRejected: boolean,
): Promise<Probe | 'WAIT' | null> {
  const [newest] = await deps.generations.read()
  if (newest === undefined) return null
  const { clock, timing } = deps
  const isEnding = lte(oauthTokens.accessExpiresAt, sqlIn(clock, timing.probeBeforeEndSeconds))
  const [row] = await deps.db
    .select({ isEnding: sql<boolean>`${accessTokenRejected ? sql`true` : isEnding}` })
    .from(oauthTokens)
    .where(and(isTokensOf(account), isMaybeSpent(deps, newest, accessTokenRejected)))
  if (row === undefined) return null
  if (!row.isEnding) return 'WAIT'
  const now = clock.sqlNow()
  const probeId = crypto.randomUUID()
  const { generation } = newest
  const [taken] = await deps.db
    .update(generations)
    .set({ probeId, probeUntil: sqlIn(clock, timing.leaseSeconds + timing.lapseMarginSeconds) })
    .where(
      and(
        eq(generations.generation, generation),
        or(
          sql`${generations.probesAccepted} >= ${ACCEPTED_IN_A_ROW}`,
          and(
            or(isNull(generations.probeUntil), lt(generations.probeUntil, now)),
            or(isNull(generations.nextProbeAt), lte(generations.nextProbeAt, now)),
          ),
        ),
      ),
    )
    .returning({ generation: generations.generation })
  return taken === undefined ? 'WAIT' : { generation, probeId }
}

/**
 * Ends a probe, so that the next one can begin. Never throws: after an error the turn ends by
 * itself when the lease of a refresh would.
 */
export async function endProbe(deps: Deps, { generation, probeId }: Probe, result: ProbeResult): Promise<void> {
  const { probesAccepted, probesRefused } = generations
  const isOwn = sql`${generations.probeId} = ${probeId}`
  const counted = {
    ACCEPTED: { probesAccepted: sql`${probesAccepted} + 1`, probesRefused: 0, nextProbeAt: null },
    REFUSED: {
      probesAccepted: 0,
      probesRefused: sql`${probesRefused} + 1`,
      nextProbeAt: sql`case when ${probesRefused} + 1 >= ${REFUSED_IN_A_ROW} then ${sqlIn(deps.clock, REFUSED_PAUSE_SECONDS)} end`,
    },
  }
  try {
    const [row] = await deps.db
      .update(generations)
      .set({
        ...(result !== null && counted[result]),
        probeId: sql`case when ${isOwn} then null else ${generations.probeId} end`,
        probeUntil: sql`case when ${isOwn} then null else ${generations.probeUntil} end`,
      })
      .where(eq(generations.generation, generation))
      .returning({ refused: probesRefused })
    if (result === 'REFUSED' && row?.refused === REFUSED_IN_A_ROW)
      deps.log.error(
        { refused: row.refused },
        'X refuses the refresh tokens of before the restore, so they are tried more slowly. If another gateway still runs on the original database, stop this one: each try may end a connection there',
      )
  } catch (error) {
    deps.log.warn({ error }, 'Could not end the probe of a refresh token; it ends by itself')
  }
}

// A refresh is due shortly before its access token expires. A pair whose access token outlives the
// restore by more than that was not refreshed before it, unless X rejects the access token early.
function isMaybeSpent({ timing, clock }: Deps, { restoredAt }: Restore, accessTokenRejected: boolean) {
  const dueSeconds = timing.refreshBeforeEndSeconds + timing.refreshJitterSeconds + CLOCK_MARGIN_SECONDS
  const after = (seconds: number) => new Date(restoredAt.getTime() + seconds * 1000)
  const isValid = gt(oauthTokens.accessExpiresAt, sqlIn(clock, timing.usableBeforeEndSeconds))
  return and(
    lt(oauthTokens.refreshIssuedAt, after(CLOCK_MARGIN_SECONDS)),
    or(lt(oauthTokens.accessExpiresAt, after(dueSeconds)), accessTokenRejected ? isValid : undefined),
  )
}
