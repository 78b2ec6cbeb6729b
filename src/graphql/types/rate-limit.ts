import type { RateLimit } from '../../rate-limit/limiter.ts'
import { builder, type ViewerFields } from '../builder.ts'
import type { GraphqlContext } from '../context.ts'

type ShownRateLimit = RateLimit & { resetAt: Date }

/** The rate limit of a caller, as this request left it. */
const RateLimitRef = builder.objectRef<ShownRateLimit>('RateLimit').implement({
  description:
    'The rate limit of the caller, by the generic cell rate algorithm (GCRA): `remaining` grows back evenly, up to `limit` within `windowSeconds`. A document costs 1, and 1 more for each 100 of its complexity: a field counts 1, the fields of a list once for each possible entry, and a mutation what its description states. An introspection costs 1 more for each 25,000 characters. A stream costs as much as its document, when it is opened.',
  fields: (t) => ({
    limit: t.exposeInt('limit', {
      description: 'The cost that the caller can consume at once; `remaining` never exceeds it.',
    }),
    windowSeconds: t.exposeInt('windowSeconds', {
      description: 'The number of seconds in which `remaining` grows from 0 to `limit`.',
    }),
    cost: t.exposeInt('cost', { description: 'The cost of this document.' }),
    remaining: t.exposeInt('remaining', {
      description: 'The cost that the caller can still consume after this document.',
    }),
    resetAt: t.expose('resetAt', {
      type: 'DateTime',
      description: 'When `remaining` equals `limit` again, if the caller consumes nothing until then.',
    }),
  }),
})

/** The field `rateLimit` of the root and of `User`. */
export const rateLimitField = (t: ViewerFields) =>
  t.field({
    type: RateLimitRef,
    nullable: true,
    authScopes: { anyone: true },
    description:
      'The rate limit of the caller: of a signed-in user in all sessions together, of an API token, or of the address of a caller that is not authenticated; or of a user in total, where that has less left. Null when the operator has set no limit.',
    resolve: (_, _args, context) => resolveRateLimit(context),
  })

builder.queryField('rateLimit', (t) => rateLimitField(t))

/** The rate limit after this request; null when the operator has set none. */
function resolveRateLimit({ deps, rateLimiter }: GraphqlContext): ShownRateLimit | null {
  const result = rateLimiter.lastResult()
  if (result === null) return null
  return { ...result, resetAt: new Date(deps.clock.now().getTime() + result.resetInSeconds * 1000) }
}
