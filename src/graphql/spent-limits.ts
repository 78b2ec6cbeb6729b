// Requests whose rate limit is known to be used up are refused before their body is read or their
// document is parsed.
import type { Plugin } from 'graphql-yoga'
import type { GraphqlRequest } from '../http/request-context.ts'
import type { RateLimiter } from '../rate-limit/limiter.ts'
import type { PreparedDocuments } from './prepared-documents.ts'

/** Refuses a request whose limit is used up. @throws AppError RATE_LIMITED */
export async function refuseSpent(rateLimiter: RateLimiter): Promise<void> {
  if (rateLimiter.isSpent()) await rateLimiter.consume(1)
}

/** Refuses before the body is read, and once more before the document is parsed. */
export function refuseSpentLimits(documents: PreparedDocuments): Plugin<Record<string, unknown>, GraphqlRequest> {
  return {
    onRequestParse: ({ serverContext }) => refuseSpent(serverContext.rateLimiter),
    onParams: ({ params: { query }, context }) => {
      const isPrepared = documents.find(query ?? '') !== null
      return isPrepared ? undefined : refuseSpent(context.rateLimiter)
    },
  }
}
