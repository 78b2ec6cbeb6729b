// The problems that /readyz shows to an operator, read from the last events of all instances.
import { and, asc, desc, eq, gt, inArray, or, sql } from 'drizzle-orm'
import { listMaintenanceRuns, type TaskBehind } from '../db/maintenance-runs.ts'
import { listMissingKeys } from '../db/sealed-values.ts'
import { OPERATOR_ID, oauthTokens, providerProblems, xBlocks } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { APP, ENDED_BY_OPERATOR } from '../x/blocks.ts'
import { countRefusedAccessTokens } from './refused-access-tokens.ts'

const LOG_LINES_DROPPED =
  'This instance has dropped log lines, because standard output was full or closed. Check the process that reads it.'

/**
 * A problem of the whole deployment, not of one account. `since` is null when that is not known.
 */
export type Problem = {
  code: ErrorCode | 'LOG_LINES_DROPPED' | 'TASKS_BEHIND' | 'X_TOKENS_REFUSED'
  since: Date | null
  detail: string
}

/** Returns the current problems, at most one for each code. */
export async function listProblems(deps: Deps): Promise<Problem[]> {
  // Of these events, the last one shows whether X accepts the app's credentials. Other events do
  // not.
  const [last] = await deps.db
    .select({ event: oauthTokens.lastEvent, at: oauthTokens.lastEventAt })
    .from(oauthTokens)
    // Without parameters, so that every plan can use the index `oauth_tokens_conclusive`.
    .where(sql`${oauthTokens.lastEvent} in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_CREDENTIALS_REJECTED', 'REFUSED')`)
    .orderBy(desc(oauthTokens.lastEventAt))
    .limit(1)
  const isRejected = last?.event === 'X_CREDENTIALS_REJECTED'
  const problems = new Map<string, Problem>()
  const add = (problem: Problem) => {
    if (!problems.has(problem.code)) problems.set(problem.code, problem)
  }
  const blocks = await deps.db
    .select()
    .from(xBlocks)
    .where(
      and(
        eq(xBlocks.userId, OPERATOR_ID),
        eq(xBlocks.subject, APP),
        // A rate limit ends by itself. What an operator has to resolve is shown until X accepts a
        // call.
        or(gt(xBlocks.until, deps.clock.sqlNow()), inArray(xBlocks.errorCode, ENDED_BY_OPERATOR)),
      ),
    )
  for (const { errorCode } of blocks) add(describe(isErrorCode(errorCode) ? errorCode : 'X_RATE_LIMITED', null))
  const recorded = await deps.db.select().from(providerProblems).orderBy(asc(providerProblems.since))
  for (const { code, since, seenAt } of recorded) {
    // A later refresh has proved that X accepts the credentials again.
    const isDisproved = code === 'X_CREDENTIALS_REJECTED' && last !== undefined && !isRejected && last.at > seenAt
    if (!isDisproved) add(describe(code, since))
  }
  if (isRejected) add(describe('X_CREDENTIALS_REJECTED', last.at))
  const refused = await countRefusedAccessTokens(deps)
  if (refused.accounts > 0)
    add({ code: 'X_TOKENS_REFUSED', since: refused.since, detail: describeRefusedTokens(refused.accounts) })
  const runs = await listMaintenanceRuns(deps, deps.timing.taskBehindSeconds, deps.uptimeSeconds())
  const behind = runs.flatMap(({ behind }) => behind ?? [])
  if (behind.length > 0) add(describeTasksBehind(behind))
  const [keyId] = await listMissingKeys(deps)
  if (keyId !== undefined) add({ code: 'ENCRYPTION_KEY_MISSING', since: null, detail: describeMissingKey(keyId) })
  if (deps.droppedLogLines() > 0) add({ code: 'LOG_LINES_DROPPED', since: null, detail: LOG_LINES_DROPPED })
  return [...problems.values()]
}

function describeRefusedTokens(accounts: number): string {
  const whose = accounts === 1 ? 'one account' : `${accounts} accounts`
  return `X refuses access tokens that it has just issued, of ${whose} within the last hour. Check at X whether the app is suspended or restricted. No account was disconnected for it.`
}

function describeTasksBehind(behind: readonly TaskBehind[]): Problem {
  const times = behind.flatMap(({ since }) => since?.getTime() ?? [])
  const reasons = behind.map(({ task, reason, failureCount, since }) =>
    reason === 'FAILED'
      ? `${task} has failed ${failureCount} times in a row`
      : `${task} has had no good run ${since === null ? 'yet' : `since ${since.toISOString()}`}`,
  )
  return {
    code: 'TASKS_BEHIND',
    since: times.length < behind.length ? null : new Date(Math.min(...times)),
    detail: `The maintenance falls behind: ${reasons.join('; ')}. The log of the instances has the cause ("A maintenance task failed").`,
  }
}

function describeMissingKey(keyId: string): string {
  return `This instance lacks the encryption key "${keyId}", which another instance uses. Add it to ENCRYPTION_KEYS here; until then what needs it is postponed.`
}

function describe(code: ErrorCode, since: Date | null): Problem {
  return { code, since, detail: new AppError(code).message }
}
