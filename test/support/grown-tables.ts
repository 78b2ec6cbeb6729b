// Fills a migrated database with many users, by SQL alone. Ids are hashes of numbers, so that rows
// of different tables find each other, and lie in no order.
import { createHash } from 'node:crypto'

export type Size = {
  /** Users, each with one connected account, its tokens, a session and an API token. */
  connections: number
  /** Tweets and events, in equal parts for each user. */
  tweets: number
  events: number
}

/** Returns the id of the user of this number, from 1. */
export function userIdOf(number: number): string {
  const digits = createHash('md5').update(`user${number}`).digest('hex')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

const idOf = (kind: 'user' | 'account' | 'tweet' | 'event' | 'endpoint', number: number | string) =>
  `md5('${kind}' || ${number})::uuid`

/**
 * Inserts the rows and analyzes the tables. None of them is due: no token is old, no tweet is open,
 * no session has ended.
 * @param run executes one statement.
 */
export async function growTables(run: (statement: string) => Promise<unknown>, size: Size): Promise<void> {
  for (const statement of statementsFor(size)) await run(statement)
  await run('vacuum analyze')
}

function statementsFor({ connections, tweets, events }: Size): string[] {
  const everyUser = `generate_series(1, ${connections}) n`
  const owner = idOf('user', `(1 + m % ${connections})`)
  const hash = (text: string) => `encode(sha256((${text})::bytea), 'hex')`
  return [
    `insert into users (id, github_id, login, created_at) select ${idOf('user', 'n')}, n, 'user-' || n, now() from ${everyUser}`,
    `insert into user_identities (github_id, user_id) select n, ${idOf('user', 'n')} from ${everyUser}`,
    `insert into user_logins (login, user_id) select 'user-' || n, ${idOf('user', 'n')} from ${everyUser}`,
    `insert into sessions (user_id, id, public_id, expires_at, created_at, last_used_at)
      select ${idOf('user', 'n')}, ${hash("'session' || n")}, gen_random_uuid(), now() + interval '20 days', now(), now() from ${everyUser}`,
    `insert into api_tokens (user_id, id, secret_hash, prefix, last_four, name, scopes, created_at, expires_at)
      select ${idOf('user', 'n')}, gen_random_uuid(), ${hash("'token' || n")}, 'xcg_abcd', 'wxyz', 'a program', '{accounts:read}',
        now(), now() + interval '90 days' from ${everyUser}`,
    `insert into connected_accounts (user_id, id, provider, provider_account_id, username, scopes, status, status_since, connected_at)
      select ${idOf('user', 'n')}, ${idOf('account', 'n')}, 'X', n, 'user_' || n, '{tweet.read}', 'ACTIVE', now(), now() from ${everyUser}`,
    `insert into account_holders (provider_account_id, provider, user_id) select n, 'X', ${idOf('user', 'n')} from ${everyUser}`,
    `insert into oauth_tokens (user_id, account_id, access_token_sealed, refresh_token_sealed, access_expires_at, grant_id,
        refresh_issued_at, last_event, last_event_at)
      select ${idOf('user', 'n')}, ${idOf('account', 'n')}, repeat('a', 160), repeat('r', 160), now() + interval '2 hours',
        gen_random_uuid(), now() - n % 100 * interval '1 day', 'REFRESHED', now() - n % 100 * interval '1 day' from ${everyUser}`,
    `insert into connect_attempts (user_id, id, state_hash, session_id, scopes, status, account_id, created_at, expires_at, taken_at, finished_at)
      select ${idOf('user', 'n')}, gen_random_uuid(), ${hash("'state' || n")}, ${hash("'session' || n")}, '{tweet.read}', 'SUCCEEDED',
        ${idOf('account', 'n')}, now(), now() + interval '10 minutes', now(), now() from ${everyUser}`,
    `insert into tweets (user_id, id, account_id, text, status, claimed_until, sent_at, x_tweet_id, created_at, posted_at)
      select ${owner}, ${idOf('tweet', 'm')}, ${idOf('account', `(1 + m % ${connections})`)},
        'A tweet of some length, number ' || m, 'POSTED', now(), now(), m, now() - m * interval '1 s', now()
      from generate_series(1, ${tweets}) m`,
    `insert into idempotency_keys (user_id, key_hash, request_hash, tweet_id, expires_at)
      select ${owner}, ${hash("'key' || m")}, ${hash("'request' || m")}, ${idOf('tweet', 'm')},
        now() + interval '30 days' - m * interval '1 s'
      from generate_series(1, ${Math.min(tweets, 29 * 86_400)}) m`,
    `insert into event_positions (user_id, position, endpoints_version)
      select ${idOf('user', 'n')}, ${Math.ceil(events / connections)}, (n % 20 = 1)::int from ${everyUser}`,
    `insert into events (user_id, id, position, type, account_id, tweet_id, occurred_at)
      select ${owner}, ${idOf('event', 'm')}, 1 + (m - 1) / ${connections}, 'tweet.posted',
        ${idOf('account', `(1 + m % ${connections})`)}, ${idOf('tweet', 'm')}, now() - m * interval '1 s'
      from generate_series(1, ${events}) m`,
    `insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
      select ${idOf('user', 'n')}, ${idOf('endpoint', 'n')}, 'https://example.com/' || n, 'sealed', now() from ${everyUser} where n % 20 = 1`,
    `insert into webhook_deliveries (user_id, id, endpoint_id, event_id, status, attempts, created_at, delivered_at)
      select p.user_id, gen_random_uuid(), p.id, e.id, 'DELIVERED', 1, e.occurred_at, e.occurred_at
      from webhook_endpoints p join events e on e.user_id = p.user_id`,
  ]
}
