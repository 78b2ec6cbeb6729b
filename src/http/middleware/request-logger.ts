import type { MiddlewareHandler } from 'hono'
import type { Viewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import { logRedacted, type OperationLogFields } from '../../telemetry/log.ts'
import { markRedacted, redactText } from '../../telemetry/redaction.ts'
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
    const { requestId, address, viewer, operationLog } = c.var
    const { method, path } = c.req
    const { status } = c.res
    logRequest(deps, { requestId, method, path, status, startedAt, address, viewer, operationLog })
  }
}

/** What is logged of a request. */
export type LoggedRequest = {
  requestId: string
  method: string
  path: string
  status: number
  /** When the request arrived, by `performance.now()`. */
  startedAt: number
  address: string | null
  viewer: Viewer | null
  operationLog: OperationLogFields | null
}

/** Logs the line of a request, and counts it. */
export function logRequest({ log, metrics }: Pick<Deps, 'log' | 'metrics'>, request: LoggedRequest): void {
  const { requestId, method, path, status, startedAt, address, viewer, operationLog } = request
  const fields = {
    // These two are a client's own texts. The others come from closed lists, ids of ours and
    // parsed addresses, and the name of an operation is redacted when its document is prepared.
    requestId: redactText(requestId),
    method,
    path: redactText(path),
    status,
    milliseconds: Math.round(performance.now() - startedAt),
    address,
    ...viewerFields(viewer),
    ...operationFields(operationLog),
  }
  if (HEALTH_PATHS.includes(path)) log.debug(markRedacted(fields), 'request')
  else logRedacted(log, fields, 'request')
  metrics?.countRequest({
    path,
    status,
    seconds: (performance.now() - startedAt) / 1000,
    rootFields: operationLog?.fields ?? null,
    errorCodes: operationLog?.errorCodes ?? [],
  })
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
