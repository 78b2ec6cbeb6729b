// Calls to GitHub's REST API on behalf of the person who signs in.
import { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type CallResult, callProvider, noCircuitBreaker, readJson } from '../outbound/provider-calls.ts'
import { ProviderFailure } from '../outbound/provider-failure.ts'

const problemShape = z.object({ message: z.string() })

/** Sends one GET. @param path begins with a slash. */
export function callGithubApi(
  { config }: Pick<Deps, 'config'>,
  path: string,
  accessToken: string,
): Promise<CallResult<unknown>> {
  return callProvider(noCircuitBreaker, async (): Promise<unknown> => {
    const response = await fetch(`${config.github.apiUrl}${path}`, {
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'xconnect-gateway',
      },
    })
    return readJson(response)
  })
}

/** Returns the error for a response that cannot be used. @param cause what is wrong with it. */
export function githubApiError(code: ErrorCode, result: CallResult<unknown>, cause?: unknown): AppError {
  return new AppError(code, { cause: new ProviderFailure(result, cause ?? (result.ok ? undefined : result.error)) })
}

/**
 * Returns GitHub's own words for a 403 that is not a rate limit; null for any other response.
 * GitHub's refusals are JSON; a page comes from a proxy. A rate limit is a 403 too
 * (docs.github.com/rest, "Rate limits for the REST API").
 */
export function findGithubRefusal({ report: { status, headers }, ...result }: CallResult<unknown>): string | null {
  const problem = problemShape.safeParse(result.ok ? result.value : null)
  if (status !== 403 || !problem.success) return null
  const { message } = problem.data
  const isRateLimit =
    headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined || /rate limit/i.test(message)
  return isRateLimit ? null : message
}
