import { type SealContext, seal, UnsealError, unseal } from '../crypto.ts'
import { OPERATOR_ID, type webhookEndpoints } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** The endpoint of a secret. The seal context contains its id and its owner's. */
export type SecretOwner = Pick<typeof webhookEndpoints.$inferSelect, 'id' | 'userId'>

/** The columns of `webhook_endpoints` that store a sealed secret. */
export type SecretColumn = 'secretSealed' | 'previousSecretSealed'

/** Seals a webhook secret for its column. */
export function sealWebhookSecret(
  deps: Pick<Deps, 'config'>,
  owner: SecretOwner,
  column: SecretColumn,
  secret: string,
): string {
  return seal(deps.config.encryptionKeys, webhookSecretSealContext(owner, column), secret)
}

/**
 * Opens a sealed webhook secret; null when there is none or it was altered. A missing key means
 * altered too, because the gateway does not start without the keys of its rows.
 */
export function openWebhookSecret(
  deps: Pick<Deps, 'config'>,
  owner: SecretOwner,
  column: SecretColumn,
  sealed: string | null,
): string | null {
  if (sealed === null) return null
  try {
    return unseal(deps.config.encryptionKeys, webhookSecretSealContext(owner, column), sealed)
  } catch (error) {
    if (error instanceof UnsealError) return null
    throw error
  }
}

/** The seal context of a webhook secret. Key rotation needs it to re-seal the secret. */
export function webhookSecretSealContext({ id, userId }: SecretOwner, column: SecretColumn): SealContext {
  const columnName = column === 'secretSealed' ? 'secret_sealed' : 'previous_secret_sealed'
  return { table: 'webhook_endpoints', column: columnName, accountId: id, userId: userId === OPERATOR_ID ? '' : userId }
}
