// The hand-written SQL of the limit and of the GraphQL peers, over the tables of the gateway.
import { createHash } from 'node:crypto'

const ACCOUNT = `a.id, a.provider, a.username, a.display_name, a.avatar_url, a.scopes, a.status, t.access_expires_at,
  a.connected_at`
const ACCOUNTS = `connected_accounts a left join oauth_tokens t on t.user_id = a.user_id and t.account_id = a.id`
const ORDER = `a.status <> 'DISCONNECTED' order by a.connected_at desc, a.id desc`
const BY_SESSION = `s.user_id = $1 and s.id = $2 and s.expires_at > now()`
const BY_API_TOKEN = `k.user_id = $1 and k.secret_hash = $2 and k.expires_at > now() and k.revoked_at is null`

/** Each is prepared by its name, once for a connection. */
export const statements = {
  accountsBySession: `select ${ACCOUNT} from sessions s join ${ACCOUNTS} on a.user_id = s.user_id
    where ${BY_SESSION} and ${ORDER}`,
  accountsByApiToken: `select ${ACCOUNT} from api_tokens k join ${ACCOUNTS} on a.user_id = k.user_id
    where ${BY_API_TOKEN} and ${ORDER}`,
  userBySession: `select u.id, u.login from sessions s join users u on u.id = s.user_id where ${BY_SESSION}`,
  tweetsBySession: `select w.id, w.text, w.status, w.created_at from sessions s join tweets w on w.user_id = s.user_id
    where ${BY_SESSION} order by w.created_at desc, w.id desc limit 21`,
  accountsOfUser: `select ${ACCOUNT} from ${ACCOUNTS} where a.user_id = $1 and ${ORDER}`,
}

/** Returns the user and the hash of the session token in a Cookie header. */
export function sessionKey(cookie) {
  const [, token, userId] = /xconnect_session=(([0-9a-f-]{36})\.[^;]+)/.exec(cookie)
  return [userId, createHash('sha256').update(token).digest('hex')]
}

/** Returns an account as the API shows it. */
export function toAccount(row) {
  return {
    id: row.id,
    provider: row.provider,
    username: row.username,
    displayName: row.display_name,
    avatarUrl: row.avatar_url,
    scopes: row.scopes,
    status: row.status,
    accessTokenExpiresAt: row.access_expires_at,
    connectedAt: row.connected_at,
  }
}
