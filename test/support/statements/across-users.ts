/**
 * The statements over the rows of all users, by their shape (the verb, the tables and the columns of
 * the conditions), with the reason of each. An entry that no test needs fails a whole run.
 */
export const acrossUsers: Readonly<Record<string, string>> = {
  'select connect_attempts by expires_at, finished_at, tokens_sealed':
    'The sweep finds attempts of more than a day ago.',
  'select orphaned_tokens': 'The sweep finds the orphaned tokens that a newer pair has replaced. There are few.',
  'select api_tokens by revoked_at, expires_at': 'The sweep finds tokens that ended 30 days ago, by an index.',
  'select idempotency_keys by expires_at': 'The sweep finds keys that have expired, by an index.',
  'select events by occurred_at': 'The sweep reads the oldest events, in batches, by their index.',
  'select events': 'The time of the newest event, by its index, when a restored database is noticed.',
  'select event_positions by user_id':
    'A restored database moves the positions of all users, in pages by the primary key.',
  'select webhook_deliveries by created_at, status':
    'The sweep reads the oldest deliveries, in batches, by their index.',
  'select webhook_turns by prompt_at': 'The users whose webhooks come next, by a partial index in this order.',
  'select webhook_turns by prompt_at, user_id': 'Without the users who have as many workers as they may.',
  'select webhook_turns by slow_at': 'The same in the lane of slow receivers.',
  'select webhook_turns by slow_at, user_id': 'The same in the lane of slow receivers, without some users.',
  'select rate_limits by full_at': 'The sweep finds buckets that are full. The table is small and has no index for it.',
  'select refused_connections by refused_at': 'The sweep finds refused connections of more than a day ago.',
  'select refused_connections by user_id': 'The deletion of a user. Each shard has an index for it.',
  'select secret_owners by ends_at': 'The sweep finds the owners of secrets that have ended.',
  'select secret_owners by user_id': 'The deletion of a user. Each shard has an index for it.',
  'select sign_in_attempts by expires_at, finished_at': 'The sweep finds sign-ins of more than an hour ago.',
  'select sign_in_attempts by user_id': 'The deletion of a user. Each shard has an index for it.',
  'select user_deletions by finished_at':
    'The sweep finds deletions that ended a week ago, by an index. The search for lost jobs reads those that are under way.',
  'select connect_attempts by tokens_sealed, next_try_at':
    'The sweep finds attempts that are due and have lost their job.',
  'select connected_accounts, users by status, id, user_id, link_visibility':
    'Operators load accounts that users show by the ids of the accounts, by an index.',
  'select grant_revocations by created_at':
    'The sweep finds revocations that have lost their job. They are deleted once X has confirmed.',
  'select oauth_tokens by access_refused_at, account_id':
    'An account without a refresh token is kept while X refuses tokens of others. A partial index has them.',
  'select oauth_tokens by access_refused_at':
    '/readyz counts the access tokens that X refuses. A partial index has them.',
  'select oauth_tokens by last_event':
    '/readyz reads the newest event of all tokens that tells of the credentials. A partial index has them.',
  'select oauth_tokens by refresh_issued_at, state, refresh_token_sealed':
    'The sweep counts the idle accounts whose tokens are due, up to a bound.',
  'select oauth_tokens by state': 'The sweep finds dead tokens with an orphaned pair.',
  'select oauth_tokens, connected_accounts by refresh_issued_at, state, refresh_token_sealed, next_try_at, status, user_id, account_id, id':
    'The sweep finds idle accounts whose tokens are due.',
  'select oauth_tokens, connected_accounts by state, next_try_at, status, user_id, account_id, id':
    'The sweep finds uncertain tokens that are due.',
  'select connected_accounts':
    'The metrics count small tables, and estimate large ones by the statistics of PostgreSQL.',
  'select oauth_tokens by state, refresh_token_sealed':
    'The metrics show the oldest refresh, by an index in its order.',
  'select tweets by status':
    'The metrics count open tweets up to a bound, and show the oldest. A partial index has them.',
  'select tweets by status, timeline_reads':
    'The metrics count tweets in doubt up to a bound. A partial index has them.',
  'select webhook_deliveries by status':
    'The metrics count pending deliveries up to a bound. A partial index has them.',
  'select tweets by status, claimed_until': 'The sweep finds tweets whose process died.',
  'select tweets, connected_accounts by status, timeline_reads, user_id, id, account_id':
    'The sweep finds tweets in doubt that have lost their job.',
  'select connect_attempts by status, tokens_sealed, taken_at': 'The sweep finds attempts whose process died.',
  'select sessions by expires_at, created_at': 'The sweep finds expired sessions, by an index for each time.',
  'select users': 'The figures of the operator count users up to a bound, by the primary key.',
  'select users by id': 'The operator pages through all users, by the primary key.',
  'select connected_accounts by id': 'The operator looks accounts up by their ids, by an index.',
  'select connected_accounts by username': 'The operator finds users by the username of an X account, by an index.',
  'select tweets': 'The figures of the operator count tweets up to a bound, by the primary key.',
  'select users by link_visibility': 'Operators page through the users who show their accounts, by an index.',
  'select users by link_visibility, id': 'A later page of the users who show their accounts.',
}

/** The reads over the rows of all users without LIMIT, by their shape, with the bound of each. */
export const withoutLimit: Readonly<Record<string, string>> = {
  'select connected_accounts': 'It is done while the table has fewer than 100,000 rows.',
  'select connected_accounts, users by status, id, user_id, link_visibility': 'The ids are those of one page.',
  'select oauth_tokens by access_refused_at, account_id':
    'It looks for another account, until it has found one that X refuses now.',
  'select oauth_tokens by access_refused_at': 'It counts the accounts that X refuses now.',
  'select sign_in_attempts by status, expires_at': 'It counts the sign-ins of ten minutes.',
}
