// Provider problems: refusals that concern the whole deployment and not one person, such as
// rejected app credentials. They are stored for all instances, and /readyz reports them until a
// flow succeeds.
import { inArray, sql } from 'drizzle-orm'
import { type ProviderProblemCode, providerProblemCodes, providerProblems } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'

/**
 * Returns true for a code that only the operator can resolve, at the provider or in the
 * configuration.
 */
export function isProviderProblem(code: ErrorCode): code is ProviderProblemCode {
  return providerProblemCodes.some((known) => known === code)
}

/**
 * Stores a problem, or the time at which it was seen again. Never throws: the caller reports the
 * error to the user anyway.
 */
export async function recordProviderProblem(deps: Deps, code: ProviderProblemCode): Promise<void> {
  const now = deps.clock.sqlNow()
  try {
    await deps.db
      .insert(providerProblems)
      .values({ code, since: now, seenAt: now })
      .onConflictDoUpdate({ target: providerProblems.code, set: { seenAt: sql`excluded.seen_at` } })
  } catch (error) {
    deps.log.warn({ error, errorCode: code }, 'Could not record a problem for /readyz')
  }
}

/** Deletes the problems of a provider after an OAuth flow has succeeded. Never throws. */
export async function clearProviderProblems(deps: Deps, provider: 'GITHUB' | 'X'): Promise<void> {
  const disproved = providerProblemCodes.filter((code) => code.startsWith(`${provider}_`))
  try {
    await deps.db.delete(providerProblems).where(inArray(providerProblems.code, disproved))
  } catch (error) {
    deps.log.warn({ error }, 'Could not delete a resolved problem; /readyz continues to report it')
  }
}
