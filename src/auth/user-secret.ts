// Session tokens and the state of a connection: the id of the user, a dot, and 256 random bits. The
// id is no secret. It is part of what is hashed, so that with another id the secret is an unknown
// one, and it lets one statement on the user's own rows find the secret.
import { eq, lt } from 'drizzle-orm'
import { randomToken, sha256 } from '../crypto.ts'
import { deleteLookUps } from '../db/batch-deletion.ts'
import { secretOwners } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

const FORM = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[A-Za-z0-9_-]{43}$/
// The random bits alone, as they were before secrets named their user.
const EARLIER_FORM = /^[A-Za-z0-9_-]{43}$/

/**
 * Returns a secret that names its user.
 * @param random 256 bits as base64url.
 */
export function createUserSecret(userId: string, random = randomToken()): string {
  return `${userId}.${random}`
}

/** Returns the user that a secret names; null for a text without the form of such a secret. */
export function parseSecretOwner(text: string): string | null {
  return FORM.exec(text)?.[1] ?? null
}

/**
 * Returns true for a text with the form of a secret, of now or of before secrets named their user.
 */
export function hasSecretForm(text: string): boolean {
  return FORM.test(text) || EARLIER_FORM.test(text)
}

/**
 * Returns the user of a secret; null when it names none and is no known secret of before secrets
 * named their user. A text with the form of neither is rejected without a query.
 */
export async function findSecretOwner(deps: Pick<Deps, 'db'>, secret: string): Promise<string | null> {
  return hasSecretForm(secret) ? (parseSecretOwner(secret) ?? findEarlierSecretOwner(deps, secret)) : null
}

/**
 * Returns the user of a secret from before secrets named their user; null when it is unknown or has
 * ended.
 */
export async function findEarlierSecretOwner(deps: Pick<Deps, 'db'>, secret: string): Promise<string | null> {
  const [owner] = await deps.db
    .select({ userId: secretOwners.userId })
    .from(secretOwners)
    .where(eq(secretOwners.secretHash, sha256(secret)))
  return owner?.userId ?? null
}

/** Deletes the owners of secrets that have ended, until the signal. */
export async function sweepSecretOwners(deps: Deps, signal?: AbortSignal): Promise<number> {
  const { secretHash, endsAt } = secretOwners
  return deleteLookUps(deps, secretOwners, secretHash, lt(endsAt, deps.clock.sqlNow()), signal)
}
