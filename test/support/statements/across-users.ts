/**
 * The statements over the rows of all users, by their shape (the verb, the tables and the columns of
 * the conditions), with the reason of each. An entry that no test needs fails a whole run.
 */
export const acrossUsers: Readonly<Record<string, string>> = {
  'delete rate_limits by full_at':
    'The sweep deletes buckets that are full. The table is small and has no index for it.',
}
