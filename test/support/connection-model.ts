// What should become of a link: the oracle of the property tests. It knows nothing of leases, rows and retries, only of what the
// gateway may know and of what is true at X.

/** What happens to a refresh, should there be one. */
export const refreshFates = [
  'works',
  '503',
  '503 after X acted',
  '429',
  'lost before X acted',
  'lost after X acted',
] as const
export type RefreshFate = (typeof refreshFates)[number]

export type Model = {
  status: 'ACTIVE' | 'NEEDS_REAUTH' | 'DISCONNECTED'
  statusReason: 'GRANT_REVOKED' | 'REFRESH_LOST' | 'DISCONNECTED_BY_USER' | null
  /** What the gateway believes of the access token's age. */
  accessToken: 'FRESH' | 'DUE' | 'ENDED'
  /** The gateway must reckon with having spent the refresh token. */
  inDoubt: boolean
  /** Something has gone wrong since the last pair came that may have cost the refresh token. */
  maybeLost: boolean
  /** At X. */
  grantLives: boolean
  accessTokenRejected: boolean
  refreshTokenSpent: boolean
  replays: number
  tweets: number
}

export type PostOutcome = 'POSTED' | 'X_UNAVAILABLE' | 'ACCOUNT_NEEDS_REAUTH' | 'ACCOUNT_DISCONNECTED'

/** A link as it is just after linking, the first time or again. */
export function connected(before?: Model): Model {
  return {
    status: 'ACTIVE',
    statusReason: null,
    accessToken: 'FRESH',
    inDoubt: false,
    maybeLost: false,
    grantLives: true,
    accessTokenRejected: false,
    refreshTokenSpent: false,
    // X counts for each grant.
    replays: 0,
    tweets: before?.tweets ?? 0,
  }
}

export function disconnected(model: Model): Model {
  return { ...model, status: 'DISCONNECTED', statusReason: 'DISCONNECTED_BY_USER' }
}

/** The account posts. */
export function use(model: Model, fate: RefreshFate): { outcome: PostOutcome; after: Model } {
  if (model.status === 'DISCONNECTED') return { outcome: 'ACCOUNT_DISCONNECTED', after: model }
  if (model.status === 'NEEDS_REAUTH') return { outcome: 'ACCOUNT_NEEDS_REAUTH', after: model }
  let after = model
  let asked = false
  const refreshNow = () => {
    after = refresh(after, fate)
    asked = true
  }
  // In doubt, nothing is risked while the access token is good.
  if (after.accessToken === 'ENDED' || (after.accessToken === 'DUE' && !after.inDoubt)) refreshNow()
  if (after.status === 'ACTIVE' && after.accessToken !== 'ENDED' && !worksAtX(after) && !asked) refreshNow()
  if (after.status === 'NEEDS_REAUTH') return { outcome: 'ACCOUNT_NEEDS_REAUTH', after }
  if (!worksAtX(after)) return { outcome: 'X_UNAVAILABLE', after }
  return { outcome: 'POSTED', after: { ...after, tweets: after.tweets + 1 } }
}

function worksAtX({ accessToken, grantLives, accessTokenRejected }: Model): boolean {
  return accessToken !== 'ENDED' && grantLives && !accessTokenRejected
}

function refresh(model: Model, fate: RefreshFate): Model {
  switch (fate) {
    case '429':
      return model
    case '503':
      return { ...model, maybeLost: true }
    case '503 after X acted':
      return { ...actAtX(model), maybeLost: true }
    case 'lost before X acted':
      return inDoubt(model)
    case 'lost after X acted':
      return inDoubt(actAtX(model))
    case 'works': {
      const acted = actAtX(model)
      if (!model.refreshTokenSpent && model.grantLives) {
        const settled = { refreshTokenSpent: false, inDoubt: false, maybeLost: false }
        return { ...acted, ...settled, accessToken: 'FRESH', accessTokenRejected: false }
      }
      return { ...acted, status: 'NEEDS_REAUTH', statusReason: model.maybeLost ? 'REFRESH_LOST' : 'GRANT_REVOKED' }
    }
  }
}

/** As after a refresh that brought no answer, whoever sent it. */
export function inDoubt(model: Model): Model {
  return { ...model, inDoubt: true, maybeLost: true }
}

/** The stored refresh token arrives at X. */
export function actAtX(model: Model): Model {
  if (model.refreshTokenSpent) return { ...model, replays: model.replays + 1, grantLives: false }
  return model.grantLives ? { ...model, refreshTokenSpent: true } : model
}
