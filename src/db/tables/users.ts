import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { bigint, check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'

/**
 * The operator of the deployment, as a user: what belongs to no person belongs to this one, so that
 * every row has a user. A migration inserts the row. Nobody signs in as the operator.
 */
export const OPERATOR_ID = '00000000-0000-0000-0000-000000000000'

export const linkVisibilities = ['NOBODY', 'INTEGRATORS'] as const

/**
 * A person. The first sign-in inserts the row, and each later sign-in updates it from GitHub.
 * The key is GitHub's numeric id, because logins and e-mail addresses change hands. Deleted last by
 * the job that `deleteViewer` queues, after every row that refers to it.
 */
export const users = pgTable(
  'users',
  {
    id: id(),
    /** A copy of the key of `user_identities`; 0 for the operator, which no GitHub user has. */
    githubId: bigint({ mode: 'number' }).notNull(),
    /** As of the last sign-in. Another user may have it since. */
    login: text().notNull(),
    name: text(),
    avatarUrl: text(),
    /** The audience of this person's connected accounts. */
    linkVisibility: text({ enum: linkVisibilities }).notNull().default('NOBODY'),
    createdAt: moment().notNull().defaultNow(),
    /**
     * The deletion of this person, in `user_deletions`; null unless it was requested. From then on
     * nothing acts for them: see `isActiveUser`.
     */
    deletionId: uuid(),
    /**
     * When the operator blocked this person; null unless they are blocked. Meanwhile nothing acts
     * for them: see `isActiveUser`.
     */
    blockedAt: moment(),
  },
  (table) => [
    // Operators page through the users who show their accounts by id.
    index('users_visible').on(table.id).where(sql`${table.linkVisibility} = 'INTEGRATORS'`),
    check('users_link_visibility', oneOf(table.linkVisibility, linkVisibilities)),
  ],
)

/**
 * Returns the form in which logins are compared, without case as at GitHub: A to Z in lower case,
 * whatever the collation of the database. Under a Turkish collation lower('I') is not the "i" of
 * JavaScript. Let PostgreSQL convert both sides, so that no second rule has to agree with this one.
 * The result has the collation of the columns: an index of another one would not be used.
 */
export function loginKey(login: SQLWrapper): SQL<string> {
  return sql<string>`lower(${login} collate "C") collate "default"`
}
