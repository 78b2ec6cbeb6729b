import { type SealContext, seal, UnsealError, unseal } from '../crypto.ts'
import type { webhookEndpoints } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** The endpoint whose secret it is: the seal is bound to it and to its owner. */
export type SecretOwner = Pick<typeof webhookEndpoints.$inferSelect, 'id' | 'userId'>

/** The columns of `webhook_endpoints` that hold a secret. */
export type SecretColumn = 'secretSealed' | 'previousSecretSealed'

/** Seals a secret for its column of `webhook_endpoints`. */
export function sealWebhookSecret(
  deps: Pick<Deps, 'config'>,
  owner: SecretOwner,
  column: SecretColumn,
  secret: string,
): string {
  return seal(deps.config.encryptionKeys, webhookSecretSealContext(owner, column), secret)
}

/**
 * Opens a secret of `webhook_endpoints`; null where there is none, or somebody altered it. A key that is missing is no other case: the
 * gateway does not start without the keys of what is unaltered.
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

/** Where a secret is sealed, for whoever re-seals it under another key. */
export function webhookSecretSealContext({ id, userId }: SecretOwner, column: SecretColumn): SealContext {
  const columnName = column === 'secretSealed' ? 'secret_sealed' : 'previous_secret_sealed'
  return { table: 'webhook_endpoints', column: columnName, accountId: id, userId: userId ?? '' }
}
