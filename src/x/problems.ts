// What is wrong between this deployment and X, as an operator must know it; told by what last happened, on any instance.
import { and, desc, eq, gt, inArray } from 'drizzle-orm'
import { oauthTokens, xBlocks } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes, isErrorCode } from '../errors.ts'
import { APP } from './limits.ts'

const LOG_LINES_DROPPED =
  'This instance has dropped lines of its log, because standard output was full or closed. Check what reads it.'

/** A problem of the whole deployment, not of one account. */
export type Problem = { code: ErrorCode | 'LOG_LINES_DROPPED'; since: Date | null; detail: string }

/** The problems that stand. */
export async function listProblems(deps: Deps): Promise<Problem[]> {
  // The last word on our credentials: every event but these two says nothing of them.
  const [last] = await deps.db
    .select({ event: oauthTokens.lastEvent, at: oauthTokens.lastEventAt })
    .from(oauthTokens)
    .where(inArray(oauthTokens.lastEvent, ['ISSUED', 'REFRESHED', 'RECOVERED', 'REFUSED', 'X_CREDENTIALS_REJECTED']))
    .orderBy(desc(oauthTokens.lastEventAt))
    .limit(1)
  const blocks = await deps.db
    .select()
    .from(xBlocks)
    .where(and(eq(xBlocks.subject, APP), gt(xBlocks.until, deps.clock.sqlNow())))
  const problems = blocks.map(({ errorCode }) => describe(isErrorCode(errorCode) ? errorCode : 'RATE_LIMITED', null))
  if (last?.event === 'X_CREDENTIALS_REJECTED') problems.push(describe('X_CREDENTIALS_REJECTED', last.at))
  if (deps.droppedLogLines() > 0) problems.push({ code: 'LOG_LINES_DROPPED', since: null, detail: LOG_LINES_DROPPED })
  return problems
}

function describe(code: ErrorCode, since: Date | null): Problem {
  return { code, since, detail: errorCodes[code].sentence }
}
