// Seals all stored secrets again after the first encryption key was replaced.
import { and, asc, eq, gt, isNotNull, isNull, lte, ne, or } from 'drizzle-orm'
import { isAttempt } from '../auth/connect-attempt.ts'
import { type KeyRing, sealedKeyId } from '../crypto.ts'
import type { Db } from '../db/client.ts'
import { sqlIn, systemClock } from '../db/clock.ts'
import {
  connectAttempts,
  encryptionCanaries,
  grantRevocations,
  oauthTokens,
  orphanedTokens,
  signInAttempts,
  webhookEndpoints,
} from '../db/tables.ts'
import { type SecretColumn, webhookSecretSealContext } from '../webhooks/secrets.ts'
import { isTokensOf } from './account-rows.ts'
import { markNeedsReauth } from './account-status.ts'
import { ATTEMPT_CLAIM_SECONDS, attemptTokensSealContext } from './attempt-tokens.ts'
import { afterKey, eachRow, RESEAL_BATCH, type ResealCounts, resealPair, resealValue } from './reseal-value.ts'
import { revocationSealContext } from './revocation.ts'

/** The result of a pass over all sealed values. */
export type Resealed = {
  /** The number of values that were sealed with the first key. */
  resealed: number
  /**
   * The number of values that still need another key, because a refresh, a secret rotation or an
   * attempt is in progress. Run the pass again in ten minutes.
   */
  waiting: number
  /** The part of `waiting` that belongs to sign-ins and connect attempts in progress. */
  waitingAttempts: number
  /** The number of values that no key opens, because they were altered. They need no key. */
  unreadable: number
  /** The ids of keys that no value needs any more: they can be removed from the configuration. */
  retired: string[]
}

/**
 * Seals all stored secrets with the ring's first key, in small batches while gateways serve. A row
 * is written only if it has not changed since it was read; one that is being refreshed is left for
 * the next pass.
 * @param beforeRetiring throws when another instance may still encrypt with one of the other keys.
 * @throws UnsealError when a value needs a key that is not configured.
 */
export async function resealAll(
  db: Db,
  keys: KeyRing,
  beforeRetiring: () => Promise<void> = async () => {},
): Promise<Resealed> {
  const known = await db.select({ keyId: encryptionCanaries.keyId }).from(encryptionCanaries)
  const counts = { resealed: 0, waiting: 0, unreadable: 0, knownKeyIds: known.map(({ keyId }) => keyId) }
  await resealTokens(db, keys, counts)
  await resealOrphans(db, keys, counts)
  await resealRevocations(db, keys, counts)
  await resealAttemptTokens(db, keys, counts)
  await resealWebhookSecrets(db, keys, counts)
  const waitingAttempts = await countAttempts(db, keys)
  const { resealed, unreadable } = counts
  const waiting = counts.waiting + waitingAttempts
  if (waiting > 0) return { resealed, waiting, waitingAttempts, unreadable, retired: [] }
  await beforeRetiring()
  return { resealed, waiting, waitingAttempts, unreadable, retired: await retireKeys(db, keys) }
}

async function resealTokens(db: Db, keys: KeyRing, counts: ResealCounts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, tokens: oauthTokens })
        .from(oauthTokens)
        .where(afterKey(oauthTokens.userId, oauthTokens.accountId, after))
        .orderBy(asc(oauthTokens.userId), asc(oauthTokens.accountId))
        .limit(RESEAL_BATCH),
    async ({ tokens, ...account }) => {
      const before = counts.unreadable
      const pair = resealPair(keys, counts, { accountId: tokens.accountId, userId: tokens.userId }, tokens)
      // Marked now: after its key is removed, an altered value looks like one whose key is missing.
      if (counts.unreadable > before)
        await markNeedsReauth({ db, clock: systemClock, log: null }, account, tokens, 'TOKENS_UNREADABLE')
      if (pair === null) return
      const unchanged = and(
        isTokensOf(account),
        eq(oauthTokens.version, tokens.version),
        eq(oauthTokens.accessTokenSealed, tokens.accessTokenSealed),
        isNull(oauthTokens.leaseId),
      )
      const written = await db.update(oauthTokens).set(pair).where(unchanged).returning({ id: oauthTokens.accountId })
      counts[written.length > 0 ? 'resealed' : 'waiting'] += 1
    },
  )
}

async function resealOrphans(db: Db, keys: KeyRing, counts: ResealCounts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select()
        .from(orphanedTokens)
        .where(afterKey(orphanedTokens.userId, orphanedTokens.id, after))
        .orderBy(asc(orphanedTokens.userId), asc(orphanedTokens.id))
        .limit(RESEAL_BATCH),
    async (orphan) => {
      const pair = resealPair(keys, counts, { accountId: orphan.accountId, userId: orphan.userId }, orphan)
      if (pair === null) return
      await db
        .update(orphanedTokens)
        .set(pair)
        .where(and(eq(orphanedTokens.userId, orphan.userId), eq(orphanedTokens.id, orphan.id)))
      counts.resealed += 1
    },
  )
}

async function resealRevocations(db: Db, keys: KeyRing, counts: ResealCounts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select()
        .from(grantRevocations)
        .where(afterKey(grantRevocations.userId, grantRevocations.id, after))
        .orderBy(asc(grantRevocations.userId), asc(grantRevocations.id))
        .limit(RESEAL_BATCH),
    async (request) => {
      const context = revocationSealContext(request.accountId, request.userId)
      const tokenSealed = resealValue(keys, counts, context, request.tokenSealed)
      if (tokenSealed === null) return
      await db
        .update(grantRevocations)
        .set({ tokenSealed })
        .where(and(eq(grantRevocations.userId, request.userId), eq(grantRevocations.id, request.id)))
      counts.resealed += 1
    },
  )
}

async function resealAttemptTokens(db: Db, keys: KeyRing, counts: ResealCounts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select({ id: connectAttempts.id, userId: connectAttempts.userId, sealed: connectAttempts.tokensSealed })
        .from(connectAttempts)
        .where(
          and(isNotNull(connectAttempts.tokensSealed), afterKey(connectAttempts.userId, connectAttempts.id, after)),
        )
        .orderBy(asc(connectAttempts.userId), asc(connectAttempts.id))
        .limit(RESEAL_BATCH),
    async ({ id, userId, sealed }) => {
      if (sealed === null) return
      const tokensSealed = resealValue(keys, counts, attemptTokensSealContext(id, userId), sealed)
      if (tokensSealed === null) return
      // A process that works on the attempt identifies its pair by the sealed bytes, and may be
      // about to store the next pair.
      const unchanged = and(isAttempt({ id, userId }), eq(connectAttempts.tokensSealed, sealed))
      const idle = or(
        lte(connectAttempts.nextTryAt, systemClock.sqlNow()),
        gt(connectAttempts.nextTryAt, sqlIn(systemClock, ATTEMPT_CLAIM_SECONDS)),
      )
      const written = await db
        .update(connectAttempts)
        .set({ tokensSealed })
        .where(and(unchanged, idle))
        .returning({ id: connectAttempts.id })
      counts[written.length > 0 ? 'resealed' : 'waiting'] += 1
    },
  )
}

async function resealWebhookSecrets(db: Db, keys: KeyRing, counts: ResealCounts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select()
        .from(webhookEndpoints)
        .where(afterKey(webhookEndpoints.userId, webhookEndpoints.id, after))
        .orderBy(asc(webhookEndpoints.userId), asc(webhookEndpoints.id))
        .limit(RESEAL_BATCH),
    async (endpoint) => {
      const again = (column: SecretColumn) => {
        const sealed = endpoint[column]
        return sealed === null ? null : resealValue(keys, counts, webhookSecretSealContext(endpoint, column), sealed)
      }
      const secretSealed = again('secretSealed')
      const previousSecretSealed = again('previousSecretSealed')
      if (secretSealed === null && previousSecretSealed === null) return
      // The secret may have been rotated meanwhile.
      const unchanged = and(
        eq(webhookEndpoints.userId, endpoint.userId),
        eq(webhookEndpoints.id, endpoint.id),
        eq(webhookEndpoints.secretSealed, endpoint.secretSealed),
      )
      const written = await db
        .update(webhookEndpoints)
        .set({
          secretSealed: secretSealed ?? endpoint.secretSealed,
          previousSecretSealed: previousSecretSealed ?? endpoint.previousSecretSealed,
        })
        .where(unchanged)
        .returning({ id: webhookEndpoints.id })
      counts[written.length > 0 ? 'resealed' : 'waiting'] += 1
    },
  )
}

// A code verifier is used within ten minutes, so waiting is simpler than sealing it again. Expired
// attempts are not waited for.
async function countAttempts(db: Db, keys: KeyRing): Promise<number> {
  const select = (table: typeof connectAttempts | typeof signInAttempts) =>
    db
      .select({ sealed: table.verifierSealed })
      .from(table)
      .where(and(eq(table.status, 'PENDING'), gt(table.expiresAt, systemClock.sqlNow())))
  const open = [...(await select(connectAttempts)), ...(await select(signInAttempts))]
  return open.filter(({ sealed }) => sealed !== null && sealedKeyId(sealed) !== keys[0].id).length
}

async function retireKeys(db: Db, keys: KeyRing): Promise<string[]> {
  const gone = await db.delete(encryptionCanaries).where(ne(encryptionCanaries.keyId, keys[0].id)).returning()
  return gone.map(({ keyId }) => keyId)
}
