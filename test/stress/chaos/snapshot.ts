// The gateways' rows and X's records of all connections at one moment, side by side.

import { tokenSealContext } from '../../../src/accounts/sealed-tokens.ts'
import { unseal } from '../../../src/crypto.ts'
import type { ChaosAccount } from './accounts.ts'
import type { Arena } from './arena.ts'

/** One connection. */
export type AccountView = {
  account: ChaosAccount
  status: string
  statusReason: string | null
  version: number
  state: string
  cause: string | null
  leased: boolean
  /** The stored refresh token, unsealed; null when there is none. */
  refreshToken: string | null
  /** The orphaned tokens that can still be adopted. */
  orphans: number
  x: { refreshes: number; replays: number; ended: string | null; refreshToken: string | null }
}

type Row = Omit<AccountView, 'account' | 'refreshToken' | 'x'> & {
  id: string
  userId: string
  refreshTokenSealed: string | null
}

/** Reads all connections. The result is consistent only while nothing refreshes. */
export async function takeSnapshot(arena: Arena, accounts: readonly ChaosAccount[]): Promise<AccountView[]> {
  const rows = await arena.sql<Row[]>`
    select a.id, a.user_id as "userId", a.status, a.status_reason as "statusReason", t.version, t.state, t.cause, t.lease_id is not null as leased,
      t.refresh_token_sealed as "refreshTokenSealed",
      (select count(*)::int from orphaned_tokens o where o.account_id = a.id and o.from_version = t.version) as orphans
    from connected_accounts a join oauth_tokens t on t.account_id = a.id`
  const byId = new Map(rows.map((row) => [row.id, row]))
  // The newest authorization of each account is the last.
  const grants = new Map(arena.sandbox.control.grants().map((grant) => [grant.username, grant]))
  return accounts.map((account) => {
    const row = byId.get(account.accountId)
    const grant = grants.get(account.username)
    if (row === undefined || grant === undefined) throw new Error(`@${account.username} has no row, or no grant at X.`)
    const { id: accountId, userId, refreshTokenSealed: sealed, ...view } = row
    const place = tokenSealContext({ accountId, userId }, 'refreshTokenSealed')
    return {
      account,
      ...view,
      refreshToken: sealed === null ? null : unseal(arena.keys, place, sealed),
      x: { refreshes: grant.rotations, replays: grant.replays, ended: grant.ended, refreshToken: grant.refreshToken },
    }
  })
}

/**
 * Returns whether a connection has reached a final state: it works without a lease, or its user has
 * been told.
 */
export function isSettledAccount({ status, state, leased }: AccountView): boolean {
  return status === 'NEEDS_REAUTH' || (state === 'ACTIVE' && !leased)
}
