import { type SealContext, seal, UnsealError } from '../crypto.ts'
import { openSealed, type SealedDeps } from '../db/sealed-values.ts'
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
 * Opens a sealed webhook secret; null when there is none or it was altered.
 * @throws EncryptionKeyMissingError when this instance lacks its key.
 */
export async function openWebhookSecret(
  deps: SealedDeps,
  owner: SecretOwner,
  column: SecretColumn,
  sealed: string | null,
): Promise<string | null> {
  if (sealed === null) return null
  try {
    return await openSealed(deps, webhookSecretSealContext(owner, column), sealed)
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
