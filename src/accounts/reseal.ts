import { and, asc, eq, gt, isNotNull, isNull, lte, ne, or } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type KeyRing, type SealContext, seal, sealedKeyId, UnsealError, unseal } from '../crypto.ts'
import { runBatches } from '../db/batches.ts'
import type { Db } from '../db/client.ts'
import { sqlIn, systemClock } from '../db/clock.ts'
import {
  connectAttempts,
  connectedAccounts,
  encryptionCanaries,
  grantRevocations,
  oauthTokens,
  orphanedTokens,
  webhookEndpoints,
} from '../db/tables.ts'
import { type SecretColumn, webhookSecretSealContext } from '../webhooks/secrets.ts'
import { markNeedsReauth } from './account-status.ts'
import { ATTEMPT_CLAIM_SECONDS, attemptTokensSealContext } from './attempt-tokens.ts'
import { revocationSealContext } from './revocation.ts'
import { tokenSealContext } from './sealed-tokens.ts'

/** What a pass over all sealed values did. */
export type Resealed = {
  /** Values now sealed under the first key. */
  resealed: number
  /**
   * Values that still need another key: refreshes in flight and attempts under way. Pass again in
   * ten minutes.
   */
  waiting: number
  /** How many of those are link attempts under way. */
  waitingAttempts: number
  /** Values that no key opens, since somebody altered them. They need none. */
  unreadable: number
  /**
   * Ids of keys that nothing is sealed under any more: they can be taken out of the configuration.
   */
  retired: string[]
}

const BATCH = 200

/**
 * Seals everything anew under the ring's first key, in small steps while gateways serve: a row is
 * written only if nobody has changed it since it was read, and one that is being refreshed is left
 * for the next pass.
 * @throws UnsealError when a value needs a key that is not configured.
 */
export async function resealAll(db: Db, keys: KeyRing): Promise<Resealed> {
  const known = await db.select({ keyId: encryptionCanaries.keyId }).from(encryptionCanaries)
  const counts = { resealed: 0, waiting: 0, unreadable: 0, knownKeyIds: known.map(({ keyId }) => keyId) }
  await resealTokens(db, keys, counts)
  await resealOrphans(db, keys, counts)
  await resealRevocations(db, keys, counts)
  await resealKeptTokens(db, keys, counts)
  await resealWebhookSecrets(db, keys, counts)
  const waitingAttempts = await countAttempts(db, keys)
  const { resealed, unreadable } = counts
  const waiting = counts.waiting + waitingAttempts
  return { resealed, waiting, waitingAttempts, unreadable, retired: waiting === 0 ? await retireKeys(db, keys) : [] }
}

/** @property knownKeyIds the keys that were ever first here: what names another was altered. */
type Counts = Omit<Resealed, 'retired' | 'waitingAttempts'> & { knownKeyIds: readonly string[] }

async function resealTokens(db: Db, keys: KeyRing, counts: Counts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select({ id: oauthTokens.accountId, tokens: oauthTokens, userId: connectedAccounts.userId })
        .from(oauthTokens)
        .innerJoin(connectedAccounts, eq(connectedAccounts.id, oauthTokens.accountId))
        .where(afterId(oauthTokens.accountId, after))
        .orderBy(asc(oauthTokens.accountId))
        .limit(BATCH),
    async ({ tokens, userId }) => {
      const before = counts.unreadable
      const pair = resealPair(keys, counts, { accountId: tokens.accountId, userId }, tokens)
      // Said now: once its key is taken away, nobody can tell that it was altered.
      if (counts.unreadable > before)
        await markNeedsReauth({ db, clock: systemClock, log: null }, tokens.accountId, tokens, 'TOKENS_UNREADABLE')
      if (pair === null) return
      const unchanged = and(
        eq(oauthTokens.accountId, tokens.accountId),
        eq(oauthTokens.version, tokens.version),
        eq(oauthTokens.accessTokenSealed, tokens.accessTokenSealed),
        isNull(oauthTokens.leaseId),
      )
      const written = await db.update(oauthTokens).set(pair).where(unchanged).returning({ id: oauthTokens.accountId })
      counts[written.length > 0 ? 'resealed' : 'waiting'] += 1
    },
  )
}

async function resealOrphans(db: Db, keys: KeyRing, counts: Counts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select({ id: orphanedTokens.id, orphan: orphanedTokens, userId: connectedAccounts.userId })
        .from(orphanedTokens)
        .innerJoin(connectedAccounts, eq(connectedAccounts.id, orphanedTokens.accountId))
        .where(afterId(orphanedTokens.id, after))
        .orderBy(asc(orphanedTokens.id))
        .limit(BATCH),
    async ({ orphan, userId }) => {
      const pair = resealPair(keys, counts, { accountId: orphan.accountId, userId }, orphan)
      if (pair === null) return
      await db.update(orphanedTokens).set(pair).where(eq(orphanedTokens.id, orphan.id))
      counts.resealed += 1
    },
  )
}

async function resealRevocations(db: Db, keys: KeyRing, counts: Counts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select()
        .from(grantRevocations)
        .where(afterId(grantRevocations.id, after))
        .orderBy(asc(grantRevocations.id))
        .limit(BATCH),
    async (request) => {
      const place = revocationSealContext(request.accountId, request.userId)
      const tokenSealed = resealOne(keys, counts, place, request.tokenSealed)
      if (tokenSealed === null) return
      await db.update(grantRevocations).set({ tokenSealed }).where(eq(grantRevocations.id, request.id))
      counts.resealed += 1
    },
  )
}

async function resealKeptTokens(db: Db, keys: KeyRing, counts: Counts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select({ id: connectAttempts.id, userId: connectAttempts.userId, sealed: connectAttempts.tokensSealed })
        .from(connectAttempts)
        .where(and(isNotNull(connectAttempts.tokensSealed), afterId(connectAttempts.id, after)))
        .orderBy(asc(connectAttempts.id))
        .limit(BATCH),
    async ({ id, userId, sealed }) => {
      if (sealed === null || userId === null) return
      const tokensSealed = resealOne(keys, counts, attemptTokensSealContext(id, userId), sealed)
      if (tokensSealed === null) return
      // A process that works on the attempt just now knows its pair by these bytes, and may have
      // the next one in its hands.
      const unchanged = and(eq(connectAttempts.id, id), eq(connectAttempts.tokensSealed, sealed))
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

async function resealWebhookSecrets(db: Db, keys: KeyRing, counts: Counts): Promise<void> {
  await eachRow(
    (after) =>
      db
        .select()
        .from(webhookEndpoints)
        .where(afterId(webhookEndpoints.id, after))
        .orderBy(asc(webhookEndpoints.id))
        .limit(BATCH),
    async (endpoint) => {
      const again = (column: SecretColumn) => {
        const sealed = endpoint[column]
        return sealed === null ? null : resealOne(keys, counts, webhookSecretSealContext(endpoint, column), sealed)
      }
      const secretSealed = again('secretSealed')
      const previousSecretSealed = again('previousSecretSealed')
      if (secretSealed === null && previousSecretSealed === null) return
      // Its owner may just have rotated it.
      const unchanged = and(
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

// A verifier lives ten minutes: waiting is simpler than re-sealing. One that nobody came back with
// is not waited for.
async function countAttempts(db: Db, keys: KeyRing): Promise<number> {
  const open = await db
    .select({ sealed: connectAttempts.verifierSealed })
    .from(connectAttempts)
    .where(and(eq(connectAttempts.status, 'PENDING'), gt(connectAttempts.expiresAt, systemClock.sqlNow())))
  return open.filter(({ sealed }) => sealed !== null && sealedKeyId(sealed) !== keys[0].id).length
}

async function retireKeys(db: Db, keys: KeyRing): Promise<string[]> {
  const gone = await db.delete(encryptionCanaries).where(ne(encryptionCanaries.keyId, keys[0].id)).returning()
  return gone.map(({ keyId }) => keyId)
}

type Pair = { accessTokenSealed: string; refreshTokenSealed: string | null }

// Null when there is nothing to write.
function resealPair(
  keys: KeyRing,
  counts: Counts,
  owner: { accountId: string; userId: string },
  row: Pair,
): Pair | null {
  const again = (column: keyof Pair) => {
    const sealed = row[column]
    return sealed === null ? null : resealOne(keys, counts, tokenSealContext(owner, column), sealed)
  }
  const accessTokenSealed = again('accessTokenSealed')
  const refreshTokenSealed = again('refreshTokenSealed')
  if (accessTokenSealed === null && refreshTokenSealed === null) return null
  return {
    accessTokenSealed: accessTokenSealed ?? row.accessTokenSealed,
    refreshTokenSealed: refreshTokenSealed ?? row.refreshTokenSealed,
  }
}

// Null when it is under the first key already, or under none: one value that somebody altered must
// not hold up all others for ever.
function resealOne(keys: KeyRing, counts: Counts, place: SealContext, sealed: string): string | null {
  try {
    return sealedKeyId(sealed) === keys[0].id ? null : seal(keys, place, unseal(keys, place, sealed))
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    if (error.reason === 'KEY_MISSING' && counts.knownKeyIds.includes(sealedKeyId(sealed))) throw error
    counts.unreadable += 1
    return null
  }
}

async function eachRow<Row extends { id: string }>(
  read: (after: string | null) => PromiseLike<Row[]>,
  visit: (row: Row) => Promise<void>,
): Promise<void> {
  let after: string | null = null
  await runBatches(BATCH, async () => {
    const rows = await read(after)
    for (const row of rows) await visit(row)
    after = rows.at(-1)?.id ?? null
    return rows.length
  })
}

function afterId(column: PgColumn, after: string | null) {
  return after === null ? undefined : gt(column, after)
}
