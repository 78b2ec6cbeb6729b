/**
 * The statements over the rows of all users, by their shape (the verb, the tables and the columns of
 * the conditions), with the reason of each. An entry that no test needs fails a whole run.
 */
export const acrossUsers: Readonly<Record<string, string>> = {
  'delete rate_limits by full_at':
    'The sweep deletes buckets that are full. The table is small and has no index for it.',
  'delete secret_owners by ends_at': 'The sweep deletes the owners of secrets that have ended.',
  'delete secret_owners by user_id': 'The deletion of a user. Each shard has an index for it.',
  'delete sign_in_attempts by expires_at, finished_at': 'The sweep deletes sign-ins after an hour.',
  'delete sign_in_attempts by user_id': 'The deletion of a user. Each shard has an index for it.',
  'select sign_in_attempts by status, expires_at':
    'xconnect keys counts the sign-ins under way that need another key. An operator runs it.',
}
