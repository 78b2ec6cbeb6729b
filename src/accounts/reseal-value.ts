// Seals single values again, for the passes in reseal.ts.
import { sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type KeyRing, type SealContext, seal, sealedKeyId, UnsealError, unseal } from '../crypto.ts'
import { runBatches } from '../db/batches.ts'
import { tokenSealContext } from './sealed-tokens.ts'

/** The number of rows that are read at a time. */
export const RESEAL_BATCH = 200

/**
 * The counts of a pass.
 * @property knownKeyIds the keys that were ever first in this database. A value with any other key
 * id was altered.
 */
export type ResealCounts = { resealed: number; waiting: number; unreadable: number; knownKeyIds: readonly string[] }

type Pair = { accessTokenSealed: string; refreshTokenSealed: string | null }

/** Seals a token pair again. Returns null when there is nothing to write. */
export function resealPair(
  keys: KeyRing,
  counts: ResealCounts,
  owner: { accountId: string; userId: string },
  row: Pair,
): Pair | null {
  const again = (column: keyof Pair) => {
    const sealed = row[column]
    return sealed === null ? null : resealValue(keys, counts, tokenSealContext(owner, column), sealed)
  }
  const accessTokenSealed = again('accessTokenSealed')
  const refreshTokenSealed = again('refreshTokenSealed')
  if (accessTokenSealed === null && refreshTokenSealed === null) return null
  return {
    accessTokenSealed: accessTokenSealed ?? row.accessTokenSealed,
    refreshTokenSealed: refreshTokenSealed ?? row.refreshTokenSealed,
  }
}

/**
 * Seals a value again with the first key. Returns null when it has that key already, and for an
 * altered value, which is counted and does not stop the pass.
 * @throws UnsealError when the value needs a key that is not configured.
 */
export function resealValue(keys: KeyRing, counts: ResealCounts, context: SealContext, sealed: string): string | null {
  try {
    return sealedKeyId(sealed) === keys[0].id ? null : seal(keys, context, unseal(keys, context, sealed))
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    if (error.reason === 'KEY_MISSING' && counts.knownKeyIds.includes(sealedKeyId(sealed))) throw error
    counts.unreadable += 1
    return null
  }
}

type RowKey = { userId: string | null; id: string }

/** Visits all rows in the order of their keys, a batch at a time. */
export async function eachRow<Row extends RowKey>(
  read: (after: RowKey | null) => PromiseLike<Row[]>,
  visit: (row: Row) => Promise<void>,
): Promise<void> {
  let after: RowKey | null = null
  await runBatches(RESEAL_BATCH, async () => {
    const rows = await read(after)
    for (const row of rows) await visit(row)
    after = rows.at(-1) ?? null
    return rows.length
  })
}

/** The condition for rows after this one, in the order of user and id; null for the first batch. */
export function afterKey(userId: PgColumn, id: PgColumn, after: RowKey | null) {
  return after === null ? undefined : sql`(${userId}, ${id}) > (${after.userId}, ${after.id})`
}
