// Validation of the settings of a webhook endpoint.
import { eventTypes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events/events.ts'
import { EgressRefusedError } from '../outbound/webhook-egress.ts'

const MAX_DESCRIPTION_LENGTH = 200

/**
 * Checks a URL against the egress policy and returns its normalised form.
 * @throws AppError WEBHOOK_URL_NOT_ALLOWED
 */
export async function parseUrl({ webhookEgress }: Pick<Deps, 'webhookEgress'>, url: string): Promise<string> {
  try {
    return await webhookEgress.check(url)
  } catch (error) {
    if (!(error instanceof EgressRefusedError)) throw error
    const detail = `Webhooks cannot be sent to this URL. ${error.message}`
    throw new AppError('WEBHOOK_URL_NOT_ALLOWED', { field: ['input', 'url'], detail })
  }
}

/** @throws AppError BAD_USER_INPUT when the description is too long or is not storable text. */
export function assertDescription(description: string | null): void {
  if (description === null) return
  const isText = description.isWellFormed() && !description.includes('\0')
  if (description.length <= MAX_DESCRIPTION_LENGTH && isText) return
  const detail = `A description may have up to ${MAX_DESCRIPTION_LENGTH} characters, without lone surrogates and U+0000.`
  throw new AppError('BAD_USER_INPUT', { field: ['input', 'description'], detail })
}

/** @throws AppError BAD_USER_INPUT when the list is empty or has repetitions. */
export function assertTypes(types: readonly EventType[] | null): void {
  if (types === null || (types.length > 0 && types.length <= eventTypes.length)) return
  const detail = 'Name at least one event type, each once, or omit types to receive all events.'
  throw new AppError('BAD_USER_INPUT', { field: ['input', 'types'], detail })
}
