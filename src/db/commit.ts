// A server whose transaction has failed responds to COMMIT with the command tag ROLLBACK and no
// error. Only the tag COMMIT is a success. (PostgreSQL, COMMIT:
// https://www.postgresql.org/docs/current/sql-commit.html)
import type { PGlite } from '@electric-sql/pglite'

/** The `code` of the error for a COMMIT whose command tag was ROLLBACK. */
export const COMMIT_ROLLED_BACK = 'COMMIT_ROLLED_BACK'
export const COMMIT_ROLLED_BACK_SENTENCE =
  'The database answered COMMIT with ROLLBACK, so that nothing of this transaction was kept'

/** The first byte of a simple query in PostgreSQL's protocol, "Q". */
const SIMPLE_QUERY = 0x51
const ENDS_ON_PURPOSE = /\b(?:rollback|abort)\b/i

/**
 * Makes PGlite fail with COMMIT_ROLLED_BACK when the command tag of a COMMIT is ROLLBACK, which its
 * `transaction` does not check. patches/4-commit-tag.patch does the same for PostgreSQL.
 */
export function checkCommits(client: PGlite): PGlite {
  const execute = client.execProtocolStream.bind(client)
  client.execProtocolStream = async (message, options) => {
    const responses = await execute(message, options)
    const rolledBack = responses.some((response) => 'text' in response && response.text === 'ROLLBACK')
    if (rolledBack && message[0] === SIMPLE_QUERY && !ENDS_ON_PURPOSE.test(new TextDecoder().decode(message)))
      throw Object.assign(new Error(COMMIT_ROLLED_BACK_SENTENCE), { code: COMMIT_ROLLED_BACK })
    return responses
  }
  return client
}
