import type { MiddlewareHandler } from 'hono'
import type { Viewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import type { OperationLogFields } from '../../telemetry/log.ts'
import type { HttpEnv } from '../request-context.ts'

const HEALTH_PATHS = ['/healthz', '/readyz']

/**
 * Logs one line for each request. The query string is left out: it may hold an authorization code
 * or a state.
 */
export function requestLogger(deps: Deps): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    // Set by later middleware on some routes only.
    c.set('viewer', null)
    c.set('operationLog', null)
    const startedAt = performance.now()
    await next()
    deps.log[HEALTH_PATHS.includes(c.req.path) ? 'debug' : 'info'](
      {
        requestId: c.var.requestId,
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        milliseconds: Math.round(performance.now() - startedAt),
        address: c.var.address,
        ...viewerFields(c.var.viewer),
        ...operationFields(c.var.operationLog),
      },
      'request',
    )
  }
}

function viewerFields(viewer: Viewer | null): { userId?: string; apiTokenId?: string } {
  if (viewer === null) return {}
  return {
    ...(viewer.kind !== 'OPERATOR_TOKEN' && { userId: viewer.user.id }),
    ...(viewer.kind !== 'SESSION' && { apiTokenId: viewer.apiToken.id }),
  }
}

// Empty fields are left out.
function operationFields(operationLog: OperationLogFields | null): Partial<OperationLogFields> {
  if (operationLog === null) return {}
  const { operation, fields, errorCodes } = operationLog
  return {
    ...(operation !== null && { operation }),
    ...(fields.length > 0 && { fields }),
    ...(errorCodes.length > 0 && { errorCodes }),
  }
}
