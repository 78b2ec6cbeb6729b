import type { RateLimit } from '../../rate-limit/limiter.ts'
import { builder } from '../builder.ts'
import type { GraphqlContext } from '../context.ts'

type Reading = RateLimit & { resetAt: Date }

/** The rate limit of a caller, as this request left it. */
export const RateLimitRef = builder.objectRef<Reading>('RateLimit').implement({
  description:
    'What the caller may ask of this gateway. A document costs one point, and one more for each 100 of its complexity: a field counts 1, a list as many times as it may have entries, what waits for another service 500. A stream costs what its document does, when it is opened.',
  fields: (t) => ({
    limit: t.exposeInt('limit', { description: 'The most points that the caller can have.' }),
    windowSeconds: t.exposeInt('windowSeconds', {
      description: 'In so many seconds all of them come back, evenly.',
    }),
    cost: t.exposeInt('cost', { description: 'What this document cost.' }),
    remaining: t.exposeInt('remaining', { description: 'What is left after it.' }),
    resetAt: t.expose('resetAt', { type: 'DateTime', description: 'When all points are back, if none are spent.' }),
  }),
})

builder.queryField('rateLimit', (t) =>
  t.field({
    type: RateLimitRef,
    nullable: true,
    authScopes: { anyone: true },
    description:
      'What is left of the points of whoever asks: of a signed-in user in all sessions, of an API token, or of the address. Null where the operator limits nothing.',
    resolve: (_, _args, context) => resolveRateLimit(context),
  }),
)

/** The rate limit after this request; null when the operator has set none. */
export function resolveRateLimit({ deps, rateLimiter }: GraphqlContext): Reading | null {
  const reading = rateLimiter.lastResult()
  if (reading === null) return null
  return { ...reading, resetAt: new Date(deps.clock.now().getTime() + reading.resetInSeconds * 1000) }
}
