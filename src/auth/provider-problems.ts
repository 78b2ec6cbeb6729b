// What a provider has said against this deployment, and not against a person: remembered for all instances, so that /readyz shows it
// until the provider says otherwise.
import { inArray, sql } from 'drizzle-orm'
import { type ProviderProblemCode, providerProblemCodes, providerProblems } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'

/** True for a code that only the operator can do something about, at the provider or in the configuration. */
export function isProviderProblem(code: ErrorCode): code is ProviderProblemCode {
  return providerProblemCodes.some((known) => known === code)
}

/** Remembers a problem, or that it still stands. Never throws: what it is about is told to the person all the same. */
export async function noteProviderProblem(deps: Deps, code: ProviderProblemCode): Promise<void> {
  const now = deps.clock.sqlNow()
  try {
    await deps.db
      .insert(providerProblems)
      .values({ code, since: now, seenAt: now })
      .onConflictDoUpdate({ target: providerProblems.code, set: { seenAt: sql`excluded.seen_at` } })
  } catch (error) {
    deps.log.warn({ error, errorCode: code }, 'Could not remember a problem for /readyz')
  }
}

/** Forgets the problems that a successful round trip has disproved. Never throws. */
export async function forgetProviderProblems(deps: Deps, provider: 'GITHUB' | 'X'): Promise<void> {
  const disproved = providerProblemCodes.filter((code) => code.startsWith(`${provider}_`))
  try {
    await deps.db.delete(providerProblems).where(inArray(providerProblems.code, disproved))
  } catch (error) {
    deps.log.warn({ error }, 'Could not forget a problem that is solved; /readyz goes on showing it')
  }
}
