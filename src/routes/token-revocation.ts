import { Hono } from 'hono'
import { revokeLeakedApiToken } from '../auth/api-token.ts'
import type { Deps } from '../deps.ts'
import { rateLimitByAddress } from '../http/middleware/rate-limit.ts'
import { FORM_TYPE, MAX_FORM_BYTES, mediaTypeOf, readForm } from '../http/request-body.ts'
import type { HttpEnv } from '../http/request-context.ts'

/**
 * `/auth/token/revoke`: token revocation by RFC 7009. It is mounted before authentication, because
 * the token alone authorizes its revocation, no matter who presents it.
 */
export function tokenRevocationRoutes(deps: Deps): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  app.post('/auth/token/revoke', rateLimitByAddress(deps, 'address'), async (c) => {
    const form = mediaTypeOf(c) === FORM_TYPE ? await readForm(c.req.raw) : null
    const [secret, ...more] = form?.getAll('token') ?? []
    if (secret === undefined || more.length > 0) {
      return c.json(
        {
          error: 'invalid_request',
          error_description: `Send one "token", as ${FORM_TYPE} of up to ${MAX_FORM_BYTES} bytes.`,
        },
        400,
      )
    }
    await revokeLeakedApiToken(deps, secret)
    // Unknown and already revoked tokens get the same response (RFC 7009 section 2.2).
    return c.body(null, 200)
  })
  return app
}
