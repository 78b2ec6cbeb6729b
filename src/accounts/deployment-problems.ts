// What is wrong between this deployment and X, as an operator must know it; told by what last happened, on any instance.
import { and, asc, desc, eq, gt, inArray, or } from 'drizzle-orm'
import { oauthTokens, providerProblems, xBlocks } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { APP, ENDED_BY_OPERATOR } from '../x/blocks.ts'
import { countRefusedAccessTokens } from './refused-access-tokens.ts'

const LOG_LINES_DROPPED =
  'This instance has dropped lines of its log, because standard output was full or closed. Check what reads it.'

/** A problem of the whole deployment, not of one account. */
export type Problem = {
  code: ErrorCode | 'LOG_LINES_DROPPED' | 'X_TOKENS_REFUSED'
  since: Date | null
  detail: string
}

/** The problems that stand. */
export async function listProblems(deps: Deps): Promise<Problem[]> {
  // The last word on our credentials: every event but these two says nothing of them.
  const [last] = await deps.db
    .select({ event: oauthTokens.lastEvent, at: oauthTokens.lastEventAt })
    .from(oauthTokens)
    .where(inArray(oauthTokens.lastEvent, ['ISSUED', 'REFRESHED', 'RECOVERED', 'REFUSED', 'X_CREDENTIALS_REJECTED']))
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
        eq(xBlocks.subject, APP),
        // Time ends a limit. What an operator has to end stands until X has accepted a call.
        or(gt(xBlocks.until, deps.clock.sqlNow()), inArray(xBlocks.errorCode, ENDED_BY_OPERATOR)),
      ),
    )
  for (const { errorCode } of blocks) add(describe(isErrorCode(errorCode) ? errorCode : 'X_RATE_LIMITED', null))
  const noted = await deps.db.select().from(providerProblems).orderBy(asc(providerProblems.since))
  for (const { code, since, seenAt } of noted) {
    // A refresh since then has proved that the credentials are good again.
    const isDisproved = code === 'X_CREDENTIALS_REJECTED' && last !== undefined && !isRejected && last.at > seenAt
    if (!isDisproved) add(describe(code, since))
  }
  if (isRejected) add(describe('X_CREDENTIALS_REJECTED', last.at))
  const refused = await countRefusedAccessTokens(deps)
  if (refused.accounts > 0)
    add({ code: 'X_TOKENS_REFUSED', since: refused.since, detail: describeRefusedTokens(refused.accounts) })
  if (deps.droppedLogLines() > 0) add({ code: 'LOG_LINES_DROPPED', since: null, detail: LOG_LINES_DROPPED })
  return [...problems.values()]
}

function describeRefusedTokens(accounts: number): string {
  const whose = accounts === 1 ? 'one account' : `${accounts} accounts`
  return `X refuses access tokens that it has just issued, of ${whose} within the last hour. Check at X whether the app is suspended or restricted. No account was disconnected for it.`
}

function describe(code: ErrorCode, since: Date | null): Problem {
  return { code, since, detail: new AppError(code).message }
}
