// The expected state of a connection: the oracle of the property tests. It models what the gateway
// can know and what is true at X, and has no leases, rows or retries.

/** The outcome of the next refresh, if there is one. */
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
  /** The age of the access token by the gateway's clock. */
  accessToken: 'FRESH' | 'DUE' | 'ENDED'
  /** The gateway cannot know whether X has used up the refresh token. */
  inDoubt: boolean
  /**
   * A refresh has failed since the last token pair in a way that may have used up the refresh
   * token.
   */
  maybeLost: boolean
  /** Whether the authorization is valid at X. */
  grantLives: boolean
  accessTokenRejected: boolean
  refreshTokenSpent: boolean
  replays: number
  tweets: number
}

export type PostOutcome = 'POSTED' | 'X_UNAVAILABLE' | 'ACCOUNT_NEEDS_REAUTH' | 'ACCOUNT_DISCONNECTED'

/** The state after connecting, the first time or again. */
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
    // The sandbox counts replays per grant.
    replays: 0,
    tweets: before?.tweets ?? 0,
  }
}

export function disconnected(model: Model): Model {
  return { ...model, status: 'DISCONNECTED', statusReason: 'DISCONNECTED_BY_USER' }
}

/** The state after a post, with this fate of its refresh. */
export function use(model: Model, fate: RefreshFate): { outcome: PostOutcome; after: Model } {
  if (model.status === 'DISCONNECTED') return { outcome: 'ACCOUNT_DISCONNECTED', after: model }
  if (model.status === 'NEEDS_REAUTH') return { outcome: 'ACCOUNT_NEEDS_REAUTH', after: model }
  let after = model
  let asked = false
  const refreshNow = () => {
    after = refresh(after, fate)
    asked = true
  }
  // In doubt, the gateway does not refresh while the access token is valid.
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

/** The state after a refresh without a response, from any process. */
export function inDoubt(model: Model): Model {
  return { ...model, inDoubt: true, maybeLost: true }
}

/** The state after X has received the stored refresh token. */
export function actAtX(model: Model): Model {
  if (model.refreshTokenSpent) return { ...model, replays: model.replays + 1, grantLives: false }
  return model.grantLives ? { ...model, refreshTokenSpent: true } : model
}
